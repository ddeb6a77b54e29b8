"""The one shape of an adapter: it turns what was sent into what the model takes, as the learner's own pipeline does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from store.predictions import RawInput


@dataclass(frozen=True)
class Item:
    """One decoded input. `content` is the adapter's own; `notes` are told to the caller, such as an unknown category."""

    content: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What an adapter refuses to decode."""

    maximum_megapixels: float = 50.0


class Adapter(Protocol):
    """Decodes and batches inputs of one fastai application.

    Raises:
        BadLearner: on construction, if the learner can't be served, saying which transform and why.
    """

    application: ClassVar[str]

    def __init__(self, learner: Any, limits: Limits) -> None: ...

    @classmethod
    def serves(cls, learner: Any) -> bool:
        """Whether this learner is of this application."""
        ...

    def decode(self, raw: RawInput) -> Item:
        """Decode one input up to and with the item transforms. Called from several threads.

        Raises:
            BadInput: it can't be read, saying what to send instead.
        """
        ...

    def batch(self, items: Sequence[Item]) -> tuple[Any, ...]:
        """Collate items and apply the batch transforms: the model's arguments."""
        ...

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        """What decoding made of an input, as numbers `(k,)`, to compare with another machine's."""
        ...

    def example(self) -> RawInput:
        """An input that this learner accepts, for a first run and for the documentation."""
        ...

    def columns(self, raw: RawInput) -> dict[str, Any]:
        """The input as named columns, for reports on columns; empty for pictures."""
        ...
