"""What notebooks and scripts call."""

from pathlib import Path
from typing import Any

from monitor.fit import DEFAULT_ALPHA
from monitor.reference import Reference
from serving.notebook import profile_learner
from tidegate.progress import track


def profile(
    learner: Any, export: str | Path | None = None, *, alpha: float = DEFAULT_ALPHA, seed: int = 0
) -> Reference:
    """The reference of a learner that still has its data: `profile(learn).save("digits.reference")`.

    Scorers are fitted on its training set and calibrated on its validation set.

    Args:
        learner: a trained fastai learner.
        export: the file that `learn.export()` wrote, if it is not `learn.path/"export.pkl"`.
        alpha: share of in-domain inputs that may be flagged.
        seed: of all randomness.

    Raises:
        TidegateError: the learner has no data, or can't be served; the message says what to do.
    """
    path = None if export is None else Path(export)
    reference = profile_learner(learner, path, alpha=alpha, seed=seed, track=track)
    for warning in reference.warnings:
        print(f"note: {warning}")  # noqa: T201
    return reference
