"""The learner in an exported file. Unpickling it runs whatever it holds."""

import logging
import warnings
from pathlib import Path
from typing import Any

from serving.learner.export.bytecode import HERE
from serving.learner.export.contents import ExportContents, python_name
from serving.learner.export.environment import ExportEnvironment, differences, minor_of
from serving.learner.export.unpickler import pickle_module_for
from serving.learner.export.user_modules import import_into_main, modules_beside
from serving.learner.torchvision_operators import declare_missing_operators
from store.errors import BadLearner

logger = logging.getLogger(__name__)


def unpickle(
    path: Path,
    contents: ExportContents | None,
    import_modules: tuple[str, ...] = (),
    known: ExportEnvironment | None = None,
) -> Any:
    """The learner in a file, whose code runs.

    Args:
        path: the file.
        contents: what was read of its pickle, as `read_contents` gives it.
        import_modules: modules that define what the learner needs, by name or file.
        known: what its neighbour tells of it.

    Raises:
        BadLearner: it holds none, or none that can be loaded here.
    """
    made_on = python_name(python_of(contents, known))
    stand_ins: list[str] = []
    with modules_beside(path) as beside:
        for name in import_modules:
            beside.allow(name)
        import_into_main(import_modules)
        learner = _load(path, pickle_module_for(beside, made_on, stand_ins), known)
    if stand_ins:
        names = ", ".join(dict.fromkeys(name.partition(".<locals>")[0] for name in stand_ins))
        logger.warning(
            "%s was exported by %s, and this is Python %s, which can't run its own functions: %s. It is loaded without them, "
            "which is enough where they only make labels; where an answer needs one, it is refused.",
            path,
            made_on,
            HERE,
            names,
        )
    return learner


def _load(path: Path, pickle_module: Any, known: ExportEnvironment | None) -> Any:
    declare_missing_operators()
    from fastai.learner import Learner, load_learner

    try:
        with warnings.catch_warnings():
            # fastai warns that a pickle is code at every load; the operator was told before.
            warnings.simplefilter("ignore")
            learner = load_learner(path, cpu=True, pickle_module=pickle_module)
    except BadLearner:
        raise
    except Exception as error:
        if "has no attribute 'dls'" in str(error):
            raise _not_a_learner_error(path) from error
        differing = differences(None if known is None else known.made_with)
        cause = (
            f"exported with {differing}"
            if differing
            else "exported by another version of fastai or torch, or is damaged"
        )
        raise BadLearner(
            f"{path} can't be loaded: {type(error).__name__}: {error}. "
            f"It was {cause}: use the same versions, or export the learner again here."
        ) from error
    if not isinstance(learner, Learner):
        raise _not_a_learner_error(path)
    return learner


def python_of(contents: ExportContents | None, known: ExportEnvironment | None) -> str | None:
    """The Python that made an export, such as "3.12", as its neighbour tells or its functions show."""
    if known is not None and known.made_with is not None and "python" in known.made_with:
        return minor_of(known.made_with["python"])
    return None if contents is None else contents.python


def _not_a_learner_error(path: Path) -> BadLearner:
    return BadLearner(f"{path} holds no learner. `learn.save()` keeps weights only: use `learn.export()`.")
