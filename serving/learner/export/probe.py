"""Loads an export in a process of its own first, where nothing else shows that it can be loaded here.

What an export does while it is loaded can end a process without a word, and a gateway must not end for it. It takes as
long as importing fastai, so it is left out wherever the export's pickle or the file beside it shows that there is no need.
"""

import gc
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType

from serving.learner.export.bytecode import HERE, fits_here
from serving.learner.export.contents import ExportContents, python_name, read_contents
from serving.learner.export.environment import ExportEnvironment
from serving.learner.export.stand_ins import REMEDY
from serving.learner.export.unpickling import unpickle
from store.errors import BadLearner

_SECONDS = 300.0
_CANNOT_LOAD = 2
# Libraries that say what is wrong instead of ending the process.
_KNOWN = frozenset(
    {
        *(
            "PIL",
            "cloudpickle",
            "confection",
            "fastai",
            "fastcore",
            "fasttransform",
            "numpy",
            "pandas",
            "plum",
            "pyarrow",
        ),
        *("sentencepiece", "spacy", "thinc", "timm", "torch", "torchvision", "transformers"),
        *("__main__", "__builtin__", "copy_reg"),
    }
)
_BINARIES = frozenset({".so", ".pyd", ".dylib", ".dll"})
# Of Python's own, those that can make memory or code out of bytes.
_RAW = frozenset({"_ctypes", "ctypes", "marshal"})


def needs_probe(contents: ExportContents | None, known: ExportEnvironment | None) -> bool:
    """Whether an export may end the process that loads it, as far as can be seen from outside."""
    if known is not None and HERE in known.pythons:
        return False
    if contents is None:
        return True
    return not all(_is_harmless(module.partition(".")[0]) for module, _ in contents.names)


def probe(export: Path, import_modules: Sequence[str], contents: ExportContents | None) -> None:
    """Load an export in another process.

    Raises:
        BadLearner: it can't be loaded there, or that process ended.
    """
    options = [word for module in import_modules for word in ("--import", module)]
    command = [sys.executable, "-m", "serving.learner.export.probe", str(export), *options]
    made_on = python_name(None if contents is None else contents.python)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise BadLearner(
            f"{export} can't be loaded: a process that tried did not end in {_SECONDS:g} seconds. What it runs when it is "
            "loaded waits for something: export the learner again without it."
        ) from error
    if ended.returncode == 0:
        return
    if ended.returncode == _CANNOT_LOAD:
        raise BadLearner(ended.stdout.strip())
    raise BadLearner(
        f"{export} can't be loaded: a process that tried {_ending(ended.returncode)}. It was probably exported by {made_on}, "
        f"or with other builds of its libraries, and this is Python {HERE}. {REMEDY}"
    )


def _ending(code: int) -> str:
    try:
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    except ValueError:
        return f"was ended by signal {-code}"


def _is_harmless(package: str) -> bool:
    if package in _RAW:
        return False
    # What is imported already has shown that it can be.
    if package in _KNOWN or package in sys.stdlib_module_names or package in sys.modules:
        return True
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    # One that is missing is beside the export, or an error.
    if spec is None:
        return True
    if spec.submodule_search_locations is None:
        return (spec.origin or "").endswith(".py")
    return not any(_holds_binaries(Path(folder)) for folder in spec.submodule_search_locations)


def _holds_binaries(folder: Path) -> bool:
    return any(file.suffix in _BINARIES for file in folder.rglob("*"))


def _main(export: Path, import_modules: tuple[str, ...]) -> int:
    _write_no_core()
    try:
        unpickle(export, read_contents(export), import_modules)
    except BadLearner as error:
        sys.stdout.write(str(error))
        return _CANNOT_LOAD
    foreign = [
        thing.__qualname__
        for thing in gc.get_objects()
        if isinstance(thing, FunctionType) and not fits_here(thing.__code__.co_code)
    ]
    if foreign:
        sys.stdout.write(
            f"{export} holds functions that were compiled by another Python, and this is Python {HERE}, which can't run "
            f"them: {', '.join(sorted(set(foreign)))}. {REMEDY}"
        )
        return _CANNOT_LOAD
    return 0


def _write_no_core() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), tuple(sys.argv[3::2])))
