"""Loads an exported learner: checks the file's hash first, and explains what is wrong when it can't be loaded.

An exported learner is a pickle, and a pickle is code: whatever it holds runs when it is loaded.
"""

import hashlib
import importlib
import pickle
import sys
import types
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.learner.torchvision_operators import declare_missing_operators
from store.errors import BadLearner, ModelMismatch


@dataclass(frozen=True)
class LoadedLearner:
    """A fastai learner on the CPU, in evaluation mode. `sha256` is the hash of its file, None for one in memory."""

    learner: Any
    name: str
    sha256: str | None
    weights_sha256: str


def sha256_of(path: Path) -> str:
    """The hash of an exported file.

    Raises:
        BadLearner: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadLearner(
            f"The learner {path} can't be read: {error.strerror}. Name a file made by `learn.export()`."
        ) from error


def name_of(path: Path) -> str:
    """What a model is called by default: its file's name, or its folder's for the usual export.pkl."""
    return path.stem if path.stem != "export" else path.resolve().parent.name or path.stem


def load(
    path: Path,
    *,
    expected_sha256: str | None = None,
    import_modules: tuple[str, ...] = (),
    announce: Callable[[str], None] = lambda _sha256: None,
) -> LoadedLearner:
    """Load an exported learner. Its code runs: `expected_sha256` is checked first.

    Args:
        path: a file made by `learn.export()`.
        expected_sha256: refuse any file with another hash, before anything of it is unpickled.
        import_modules: modules that define what the learner needs; their names are also given to `__main__`, where a
            learner trained in a notebook looks for them.
        announce: called with the hash, once it is seen to be the expected one and before anything is unpickled.

    Raises:
        BadLearner: it is missing, cut short, not an exported learner, or needs code that is not there.
        ModelMismatch: its hash is not the expected one.
    """
    digest = sha256_of(path)
    if expected_sha256 is not None and digest != expected_sha256.strip().lower():
        raise ModelMismatch(
            f"{path} has SHA-256 {digest}, not {expected_sha256}. It is not the file you meant, or it was changed. "
            "Nothing of it was loaded."
        )
    announce(digest)
    if not zipfile.is_zipfile(path):
        raise BadLearner(
            f"{path} is cut short, or was never made by `learn.export()`: it is not a whole torch archive. "
            "Copy it again, or export the learner again."
        )
    _import_into_main(import_modules)
    learner = _unpickle(path)
    learner.model.eval()
    return LoadedLearner(learner, name_of(path), digest, weights_sha256(learner.model))


def weights_sha256(model: Any) -> str:
    """The hash of a model's weights, the same before and after an export."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _import_into_main(modules: tuple[str, ...]) -> None:
    """Import modules, and give their public names to `__main__` too."""
    if modules and "" not in sys.path:
        sys.path.insert(0, "")
    main = sys.modules["__main__"]
    for name in modules:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise BadLearner(
                f"The module {name!r} can't be imported: {error}. Run from the folder that holds it, or install it."
            ) from error
        for attribute in vars(module):
            if not attribute.startswith("_") and not hasattr(main, attribute):
                setattr(main, attribute, getattr(module, attribute))


class _Unpickler(pickle.Unpickler):
    """Raises an error that says which name is missing; fastai's `load_learner` hides the ImportError."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            source = "your notebook or script" if module == "__main__" else f"the module {module!r}"
            example = "my_module" if module == "__main__" else module.partition(".")[0]
            raise BadLearner(
                f"The learner needs {name!r} from {source}, which is not here ({error}). Put it into a file and name "
                f"that with `--import {example}`, or install the package that brings it."
            ) from error


# torch.load takes a module and asks it for these names.
_PICKLE = types.SimpleNamespace(__name__="pickle", Unpickler=_Unpickler, load=pickle.load, loads=pickle.loads)


def _unpickle(path: Path) -> Any:
    declare_missing_operators()
    from fastai.learner import Learner, load_learner

    try:
        with warnings.catch_warnings():
            # fastai warns that a pickle is code at every load; the operator was told before.
            warnings.simplefilter("ignore")
            learner = load_learner(path, cpu=True, pickle_module=_PICKLE)
    except BadLearner:
        raise
    except Exception as error:
        if "has no attribute 'dls'" in str(error):
            raise _not_a_learner_error(path) from error
        raise BadLearner(
            f"{path} can't be loaded: {type(error).__name__}: {error}. "
            "It was exported by another version of fastai or torch, or is damaged: export the learner again here."
        ) from error
    if not isinstance(learner, Learner):
        raise _not_a_learner_error(path)
    return learner


def _not_a_learner_error(path: Path) -> BadLearner:
    return BadLearner(f"{path} holds no learner. `learn.save()` keeps weights only: use `learn.export()`.")
