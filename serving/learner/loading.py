"""Loads an exported learner: checks the file's hash first, and explains what is wrong when it can't be loaded.

An exported learner is a pickle, and a pickle is code: whatever it holds runs when it is loaded.
"""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.learner.export.bytecode import HERE
from serving.learner.export.contents import ExportContents, python_name, read_contents
from serving.learner.export.environment import Environment, ExportEnvironment, read_environment
from serving.learner.export.probe import needs_probe, probe
from serving.learner.export.stand_ins import REMEDY
from serving.learner.export.unpickling import python_of, unpickle
from store.errors import BadLearner, ModelMismatch


@dataclass(frozen=True)
class LoadedLearner:
    """A fastai learner on the CPU, in evaluation mode.

    `sha256` is the hash of its file, None for one in memory; `made_with` tells the Python and the libraries it was exported
    with, None where they are not known.
    """

    learner: Any
    name: str
    sha256: str | None
    weights_sha256: str
    made_with: Environment | None = None


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
        import_modules: modules that define what the learner needs, by name or file; their names are also given to
            `__main__`, where a learner trained in a notebook looks for them. A module that the learner names and that is
            found nowhere else is taken from the export's folder.
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
    known, contents = read_environment(path, digest), read_contents(path)
    _refuse_what_cannot_run(path, contents, known)
    if needs_probe(contents, known):
        probe(path, import_modules, contents)
    learner = unpickle(path, contents, import_modules, known)
    learner.model.eval()
    made_with = None if known is None else known.made_with
    if made_with is None and contents is not None and contents.python is not None:
        made_with = {"python": contents.python}
    return LoadedLearner(learner, name_of(path), digest, weights_sha256(learner.model), made_with)


def weights_sha256(model: Any) -> str:
    """The hash of a model's weights, the same before and after an export."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _refuse_what_cannot_run(path: Path, contents: ExportContents | None, known: ExportEnvironment | None) -> None:
    """Refuse an export of another Python whose pickle can't be followed, so that its functions can't be told apart."""
    if contents is None and known is not None and known.made_with is not None and HERE not in known.pythons:
        raise BadLearner(
            f"{path} was exported by {python_name(python_of(None, known))}, and this is Python {HERE}: what it holds can't "
            f"be seen from outside, and functions of another Python end the process. Nothing of it was loaded. {REMEDY}"
        )
