"""The interface of an adapter: it turns what was sent into what the model takes, as the learner's own pipeline does."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from serving.learner.decoding import DecodeTargets
from store.recording.prediction_batch import RawInput


@dataclass(frozen=True)
class Item:
    """One decoded input.

    `content` is of a type that only its adapter knows; `notes` are for the caller, such as an unknown category.
    """

    content: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collated:
    """Several items as one batch.

    `order` holds the item's index of each row, where the model wants another order than the items'; None if in order.
    """

    arguments: tuple[torch.Tensor, ...]
    order: npt.NDArray[np.int64] | None = None

    @property
    def item_rows(self) -> slice | npt.NDArray[np.int64]:
        """Which row is of which item: `rows[item_rows]` is in the order of the items."""
        return slice(None) if self.order is None else np.argsort(self.order)


@dataclass(frozen=True)
class Limits:
    """What an adapter refuses to decode."""

    maximum_megapixels: float = 50.0
    maximum_characters: int = 100_000


class Adapter(Protocol):
    """Decodes and batches inputs of one fastai application.

    `takes` is what one input is. `in_graph` are the last steps before the model, where they are plain arithmetic that a
    backend can run with it; None where `collate` has done everything. `decode_targets` is the learner's own decoding of what
    was predicted. `fixed_steps` says whether models of this
    application do the same steps whatever they are given.

    Raises:
        BadLearner: on construction, if the learner can't be served, saying which transform and why.
    """

    application: ClassVar[str]
    takes: ClassVar[Literal["pictures", "rows", "texts"]]
    fixed_steps: ClassVar[bool] = True
    in_graph: nn.Module | None = None
    decode_targets: DecodeTargets

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

    def collate(self, items: Sequence[Item]) -> Collated:
        """One batch of items, with the batch transforms that are not `in_graph` applied."""
        ...

    def collate_alone(self, item: Item) -> Collated:
        """One item as `Learner.predict` gives it to the model."""
        return self.collate([item])

    def shape_of(self, item: Item) -> Hashable:
        """What items have in common that fit into one batch."""
        return None

    def fingerprint(self, item: Item) -> npt.NDArray[np.float32]:
        """A decoded input as numbers `(k,)`, to compare with those of another machine."""
        ...

    def examples(self) -> list[RawInput]:
        """Several different inputs that this learner accepts, for first runs and for the documentation."""
        ...

    def columns(self, raw: RawInput) -> dict[str, Any]:
        """The input as named columns, for reports on columns; empty for pictures and texts."""
        ...


def as_plain_tensor(tensor: Any) -> torch.Tensor:
    """One of fastai's kinds of tensor as torch's own, whose operations cost a third."""
    plain: torch.Tensor = (
        tensor.as_subclass(torch.Tensor) if isinstance(tensor, torch.Tensor) else torch.as_tensor(tensor)
    )
    return plain


def in_one_line(thing: Any) -> str:
    """What something says of itself, in one line."""
    return " ".join(str(thing).split())


def collate_by_fastai(dl: Any, samples: list[Any]) -> tuple[torch.Tensor, ...]:
    """A batch of samples, made by all of a fastai loader's own steps."""
    from fastai.torch_core import to_device

    # fastai tells the batch transforms that they validate (and do not augment) only when an iteration begins.
    dl.before_iter()
    collated = dl.retain(dl.create_batch(dl.before_batch(samples)), samples)
    return tuple(as_plain_tensor(argument) for argument in dl.after_batch(to_device(collated, dl.device)))
