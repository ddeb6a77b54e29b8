"""How each fastai application's inputs are decoded, one per file. A new one registers itself in `ADAPTERS`."""

from typing import Any

from serving.adapters.base import Adapter, Item, Limits
from serving.adapters.tabular import Tabular
from serving.adapters.vision import Vision
from store.errors import BadLearner

ADAPTERS: tuple[type[Adapter], ...] = (Tabular, Vision)


def adapter_of(learner: Any, limits: Limits) -> Adapter:
    """The adapter that serves a learner.

    Raises:
        BadLearner: no application that Tidegate serves, or one that can't be served as it is.
    """
    for kind in ADAPTERS:
        if kind.serves(learner):
            return kind(learner, limits)
    served = " and ".join(kind.application for kind in ADAPTERS)
    raise BadLearner(
        f"Tidegate serves {served} learners so far, and this one's data is a "
        f"{type(learner.dls.valid_ds).__name__}, which is neither."
    )


__all__ = ["ADAPTERS", "Adapter", "Item", "Limits", "adapter_of"]
