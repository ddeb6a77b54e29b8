"""How each fastai application's inputs are decoded, one per file. A new one registers itself in `ADAPTERS`."""

from typing import Any

from serving.learner.adapters.base import Adapter, Collated, Item, Limits
from serving.learner.adapters.collab import Collab
from serving.learner.adapters.tabular import Tabular
from serving.learner.adapters.text import Text
from serving.learner.adapters.vision import Vision
from store.errors import BadLearner

# A collab learner's data is a table too, so it is asked first.
ADAPTERS: tuple[type[Adapter], ...] = (Collab, Tabular, Text, Vision)


def adapter_of(learner: Any, limits: Limits) -> Adapter:
    """The adapter that serves a learner.

    Raises:
        BadLearner: no application that Tidegate serves, or one that can't be served as it is.
    """
    for kind in ADAPTERS:
        if kind.serves(learner):
            return kind(learner, limits)
    served = ", ".join(kind.application for kind in ADAPTERS)
    raise BadLearner(
        f"Tidegate does not serve inputs of this kind: this learner's {_describe_steps(learner.dls.valid_ds)} neither open "
        f"a picture, as `ImageBlock` does, nor read a text or a row. It serves {served} learners."
    )


def _describe_steps(dataset: Any) -> str:
    parts: Any = getattr(dataset, "tls", ())
    names = [str(getattr(step, "name", step)).partition(" -- ")[0] for step in parts[0].tfms.fs] if len(parts) else []
    steps = [name for name in names if name != "noop"]
    return f"steps ({', '.join(steps)})" if steps else f"data ({type(dataset).__name__}) has no steps that"


__all__ = ["ADAPTERS", "Adapter", "Collated", "Item", "Limits", "adapter_of"]
