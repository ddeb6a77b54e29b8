"""Modules of the user's own that a learner needs: those that `--import` names, and files beside the export."""

import importlib
import importlib.abc
import importlib.util
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from serving.learner.torchvision_operators import declare_missing_operators
from store.errors import BadLearner

logger = logging.getLogger(__name__)


def import_into_main(names: Sequence[str]) -> None:
    """Import modules, by name or by file, and give their public names to `__main__` too.

    Raises:
        BadLearner: one is not there, or fails; the message names the line.
    """
    if not names:
        return
    # They import fastai.vision themselves.
    declare_missing_operators()
    if "" not in sys.path:
        sys.path.insert(0, "")
    main = sys.modules["__main__"]
    for name in names:
        module = _import_file(Path(name)) if _is_file_name(name) else _import_name(name)
        for attribute in vars(module):
            if not attribute.startswith("_") and not hasattr(main, attribute):
                setattr(main, attribute, getattr(module, attribute))


@contextmanager
def modules_beside(export: Path) -> Iterator["ModulesBeside"]:
    """While it lasts, modules that are asked for and found nowhere else are taken from the export's folder."""
    finder = ModulesBeside(export)
    # Last, so that nothing beside an export hides what is installed.
    sys.meta_path.append(finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)


class ModulesBeside(importlib.abc.MetaPathFinder):
    """Finds the modules that an export needs beside it. Each is code that runs, so it is named in the log before."""

    def __init__(self, export: Path) -> None:
        self._export = export
        self._folder = export.resolve().parent
        self._wanted: set[str] = set()
        self._running = 0

    def allow(self, module: str) -> None:
        """This module may be taken from the export's folder."""
        self._wanted.add(module.partition(".")[0])

    def want(self, module: str) -> None:
        """The export needs this module: it may be taken from its folder.

        Raises:
            BadLearner: another file of this name was imported for another export.
        """
        self.allow(module)
        name = module.partition(".")[0]
        loaded, beside = sys.modules.get(name), self._file(name)
        if loaded is None and beside is not None and _on_path(name) == beside:
            # It lies where Python looks anyway, as it does for a verb that runs in this folder.
            self._name(name, beside)
        loader = getattr(getattr(loaded, "__spec__", None), "loader", None)
        if beside is None or not isinstance(loader, _LoaderBeside):
            return
        if loader.content != beside.read_bytes():
            raise BadLearner(
                f"The learner needs {beside.name} beside {self._export}, and another one, {loader.path}, was imported "
                "before. Python keeps one module of a name: rename one of them, or serve the two in processes of their own."
            )

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        # What such a module imports itself may lie beside it too.
        if path is not None or not (self._running or name in self._wanted):
            return None
        file = self._file(name)
        if file is None:
            return None
        self._name(name, file)
        return importlib.util.spec_from_file_location(name, file, loader=_LoaderBeside(name, str(file), self))

    @contextmanager
    def running(self) -> Iterator[None]:
        """While a module from the folder runs."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _name(self, module: str, file: Path) -> None:
        logger.warning("%s needs the module %s, which is code and runs: uses %s beside it", self._export, module, file)

    def _file(self, name: str) -> Path | None:
        candidates = (self._folder / f"{name}.py", self._folder / name / "__init__.py")
        return next((file for file in candidates if file.is_file()), None)


class _LoaderBeside(SourceFileLoader):
    def __init__(self, name: str, path: str, finder: ModulesBeside) -> None:
        super().__init__(name, path)
        self._finder = finder
        self.content = b""

    def exec_module(self, module: ModuleType) -> None:
        self.content = Path(self.path).read_bytes()
        with self._finder.running():
            try:
                super().exec_module(module)
            except (Exception, SystemExit) as error:
                raise _failed(module.__name__, error) from error


def _on_path(name: str) -> Path | None:
    spec = PathFinder.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def _is_file_name(name: str) -> bool:
    return name.endswith(".py") or "/" in name or os.sep in name


def _import_name(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BadLearner:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise BadLearner(
                f"The module {name!r} can't be imported: there is no module {error.name!r}. Run from the folder that holds "
                "it, put it beside the export, name its file (`--import path/to/file.py`), or install it."
            ) from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _import_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise BadLearner(f"There is no file {file} to import. Give the path of a Python file, or a module's name.")
    name = file.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        known = getattr(loaded, "__file__", None)
        if known is not None and Path(known).resolve() == file.resolve():
            return loaded
        raise BadLearner(
            f"{file} can't be imported: another module is called {name!r} ({known or 'part of Python'}). Rename the file, "
            "and export the learner again with the new name."
        )
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise BadLearner(
            f"{file} can't be imported: it is not a Python file. Give the path of one, or a module's name."
        )
    # It may import its neighbours.
    if str(file.resolve().parent) not in sys.path:
        sys.path.append(str(file.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    # A pickle finds it by this name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(file), error) from error
    return module


def _failed(module: str, error: BaseException) -> BadLearner:
    """Where and why a module failed."""
    if isinstance(error, BadLearner):
        return error
    if isinstance(error, SyntaxError):
        place, reason = f"{error.filename}, line {error.lineno}", error.msg
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_of_python(frame.filename)]
        place = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "its own code"
        reason = str(error)
    return BadLearner(
        f"The module {module!r} fails when it is imported: {type(error).__name__}: {reason} ({place}). "
        "Mend it: `python FILE` in its folder shows the whole error."
    )


def _is_of_python(file: str) -> bool:
    return file.startswith("<frozen") or file == __file__ or "site-packages" in file or "importlib" in file
