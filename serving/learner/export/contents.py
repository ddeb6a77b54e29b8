"""What an exported learner's pickle holds, read without running any of it."""

import io
import pickle
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.learner.export.bytecode import HERE, OLDER, fits_here, pythons_of

# `types.CodeType` takes so many arguments since Python 3.11.
CODE_ARGUMENTS = 18
_PYTHON_IN_PATH = re.compile(r"python(3\.\d+)[/\\]", re.IGNORECASE)


@dataclass(frozen=True)
class PickledFunction:
    """A function that is kept by value, as bytecode: a lambda, or one of a notebook or script; some of libraries too."""

    name: str
    file: str
    fits_here: bool
    pythons: frozenset[str]


@dataclass(frozen=True)
class ExportContents:
    """What a pickle asks for: `names` of modules and what is in them, and the `functions` that it brings itself."""

    names: frozenset[tuple[str, str]]
    functions: tuple[PickledFunction, ...]

    @property
    def python(self) -> str | None:
        """The Python that made it, such as "3.12", where its functions show which."""
        possible = {python for layout in self.functions for python in layout.pythons}
        for function in self.functions:
            possible &= function.pythons
        if len(possible) == 1:
            return possible.pop()
        if any(module == "pathlib._local" for module, _ in self.names):
            # This module of Python's own is there in one version only.
            return "3.13"
        in_paths = {found[1] for function in self.functions if (found := _PYTHON_IN_PATH.search(function.file))}
        return in_paths.pop() if len(in_paths) == 1 else None


def read_contents(export: Path) -> ExportContents | None:
    """Read an export's pickle; None where it does something that can't be followed without running it."""
    try:
        with zipfile.ZipFile(export) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            content = archive.read(member)
        reader = _Reader(io.BytesIO(content))
        reader.load()
    except Exception:  # noqa: BLE001 - a pickle can fail in any way; the caller tries it in another process then
        return None
    return ExportContents(frozenset(reader.names), tuple(reader.functions))


def describe_code(arguments: tuple[Any, ...]) -> PickledFunction:
    """The function whose code object these arguments of `types.CodeType` make, whichever Python wrote them."""
    texts = [argument for argument in arguments if isinstance(argument, str)]
    file, names = (texts or [""])[0], texts[1:] or ["?"]
    if len(arguments) != CODE_ARGUMENTS:
        return PickledFunction(names[0], file, False, frozenset({OLDER}))
    bytecode = arguments[6] if isinstance(arguments[6], bytes) else b""
    return PickledFunction(names[-1], file, fits_here(bytecode), pythons_of(bytecode))


class _StandIn:
    """Stands for whatever a pickle would make, and does nothing."""

    def __new__(cls, *_arguments: Any, **_named: Any) -> "_StandIn":
        return object.__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None: ...

    def __call__(self, *_arguments: Any, **_named: Any) -> "_StandIn":
        return _StandIn()

    def __setstate__(self, _state: Any) -> None: ...

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    def append(self, _item: Any) -> None: ...

    def extend(self, _items: Any) -> None: ...

    def add(self, _item: Any) -> None: ...


def _stand_in_class(*_arguments: Any) -> type[_StandIn]:
    return type("_Made", (_StandIn,), {})


class _Reader(pickle.Unpickler):
    """Follows a pickle with stand-ins in place of all that it names, so that nothing of it runs."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.names: set[tuple[str, str]] = set()
        self.functions: list[PickledFunction] = []

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        package = module.partition(".")[0]
        if package == "cloudpickle" and name == "_builtin_type":
            return lambda wanted: self._code if wanted == "CodeType" else _stand_in_class()
        if package == "cloudpickle" and name == "subimport":
            return self._module
        if package == "cloudpickle" and name.startswith("_make_skel"):
            return _stand_in_class
        if (module, name) == ("types", "CodeType"):
            return self._code
        if (module, name) == ("_codecs", "encode"):
            # How bytes are written in the protocol that fastai uses.
            return lambda text, encoding: text.encode(encoding)
        return _stand_in_class()

    def persistent_load(self, _reference: Any) -> Any:
        return _StandIn()

    def _code(self, *arguments: Any) -> _StandIn:
        self.functions.append(describe_code(arguments))
        return _StandIn()

    def _module(self, name: str) -> _StandIn:
        self.names.add((name, ""))
        return _StandIn()


def python_name(python: str | None) -> str:
    """A Python in words."""
    return f"Python {python}" if python is not None and python != HERE else "another Python"
