"""Finds what an export names, by whatever name another Python, operating system or numpy gives it; says what is missing."""

import importlib
import importlib.util
import pathlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

from serving.learner.export.bytecode import HERE
from serving.learner.export.contents import CODE_ARGUMENTS, describe_code
from serving.learner.export.library_code import code_of_library
from serving.learner.export.stand_ins import stand_in
from serving.learner.export.user_modules import ModulesBeside
from store.errors import BadLearner

_PATHS = ("PosixPath", "WindowsPath")


class ExportUnpickler(pickle.Unpickler):
    """Finds what an export names. Subclassed once for each load, by `pickle_module_for`."""

    beside: ModulesBeside
    made_on: str
    # Functions that this Python can't run, and that are there in name only.
    stand_ins: list[str]

    def find_class(self, module: str, name: str) -> Any:
        module, name = _renamed(module, name)
        self.beside.want(module)
        special = self._special(module, name)
        if special is not None:
            return special
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise BadLearner(_missing(module, name, error)) from error

    def _special(self, module: str, name: str) -> Callable[..., Any] | None:
        package = module.partition(".")[0]
        if package == "cloudpickle" and name == "_builtin_type":
            builtin_type = super().find_class(module, name)
            return lambda wanted: self._code if wanted == "CodeType" else builtin_type(wanted)
        if package == "cloudpickle" and name == "subimport":
            return self._module
        if (module, name) == ("types", "CodeType"):
            return self._code
        return None

    def _module(self, name: str) -> ModuleType:
        self.beside.want(name)
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise BadLearner(_missing(name, None, error)) from error

    def _code(self, *arguments: Any) -> CodeType:
        function = describe_code(arguments)
        if function.fits_here:
            return CodeType(*arguments)
        here = code_of_library(arguments) if len(arguments) == CODE_ARGUMENTS else None
        if here is not None:
            return here
        self.stand_ins.append(function.name)
        return stand_in(arguments, function.name, self.made_on)


def pickle_module_for(beside: ModulesBeside, made_on: str, stand_ins: list[str]) -> Any:
    """What `torch.load` takes as its pickle module, for one export.

    Args:
        beside: finds modules beside the export.
        made_on: the Python that made it, in words.
        stand_ins: gets the names of functions that this Python can't run.
    """
    fields = {"beside": beside, "made_on": made_on, "stand_ins": stand_ins}
    unpickler = type("_Unpickler", (ExportUnpickler,), fields)
    return SimpleNamespace(__name__="pickle", Unpickler=unpickler, load=pickle.load, loads=pickle.loads)


def _renamed(module: str, name: str) -> tuple[str, str]:
    """What this Python and numpy call it."""
    if module == "pathlib._local":
        # Where Python 3.13, and no other, keeps its paths.
        module = "pathlib"
    if module == "pathlib" and name in _PATHS:
        # A path of training data, of another operating system perhaps, which no answer needs.
        return module, type(pathlib.Path()).__name__
    if module == "numpy.core" or module.startswith("numpy.core."):
        return module.replace("numpy.core", "numpy._core", 1), name
    return module, name


def _missing(module: str, name: str | None, error: Exception) -> str:
    """What a learner needs and is not here, and how to give it."""
    if module == "__main__":
        return (
            f"The learner needs {name!r} from your notebook or script, which is not here ({error}). Put it into a file and "
            "name that with `--import my_module`, or install the package that brings it."
        )
    package = module.partition(".")[0]
    wanted = f"the module {module!r}" if name is None else f"{name!r} from the module {module!r}"
    if module in ("fastcore.transform", "fastcore.dispatch"):
        return (
            f"The learner needs {wanted}, which is gone since fastai 2.8: it was exported by an older fastai. Load it there "
            "and train or fine-tune it again with fastai 2.8, or serve it in an environment of that fastai."
        )
    if package in sys.stdlib_module_names:
        return (
            f"The learner needs {wanted}, which this Python {HERE} has not ({error}): it was exported by another Python. "
            "Use that one here, or export the learner again with this one."
        )
    if _is_installed(package):
        return (
            f"The learner needs {wanted}, and the {package} that is installed here has no such ({error}): it was exported "
            f"with another version of {package}. Install that version here, or export the learner again with this one."
        )
    return (
        f"The learner needs {wanted}, which is not here ({error}). Put its file beside the export, or name it with "
        f"`--import {package}`, or install the package that brings it."
    )


def _is_installed(package: str) -> bool:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return spec is not None and any(
        part in ("site-packages", "dist-packages") for part in Path(spec.origin or "").parts
    )
