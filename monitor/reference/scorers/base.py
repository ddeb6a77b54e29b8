"""The interface of every scorer: fit on training rows, score any rows, save to arrays and restore from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
AnyFloats = npt.NDArray[np.floating]
RowIndices = npt.NDArray[np.int64]
ClassIndices = npt.NDArray[np.int64]
Arrays = dict[str, npt.NDArray[np.generic]]

_CHUNK_ROWS = 8_192


@dataclass(frozen=True)
class Features:
    """The inputs of a scorer: embeddings `(n, d)` and, where the learner has them, logits `(n, c)`, all finite."""

    embeddings: AnyFloats
    logits: AnyFloats | None

    @cached_property
    def unit(self) -> Floats32:
        """The embeddings on the unit sphere `(n, d)`, which several scorers use."""
        return unit_rows(self.embeddings)

    def chunks(self) -> Iterator[tuple[slice, Floats]]:
        """The embeddings as float64, a few thousand rows at a time, each time with the slice of these rows.

        Training rows may be more than memory holds.
        """
        for start in range(0, self.embeddings.shape[0], _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            yield rows, np.asarray(self.embeddings[rows], np.float64)


@dataclass(frozen=True)
class Training:
    """What a scorer is fitted on.

    Attributes:
        features: of the n training rows.
        classes: the labels as integers, predicted ones where no labels are known, shape `(n,)`; None where there are neither.
        head: the last linear layer, weights `(c, d)` and bias `(c,)`, or None.
        row_indices: the indices of these rows among all that were given, of which some may be unusable, shape `(n,)`.
    """

    features: Features
    classes: ClassIndices | None
    head: tuple[Floats, Floats] | None
    row_indices: RowIndices


class Scorer(Protocol):
    """A method that measures how far a row lies from the training rows. Higher = further out.

    `title` says in plain words what is measured; several methods may measure one thing.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    @classmethod
    def applies(cls, training: Training) -> bool:
        """Whether this method can be fitted on these rows."""
        ...

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> Self:
        """Fit on training rows."""
        ...

    def score(self, features: Features) -> Floats:
        """Scores of shape `(n,)`, finite for finite rows."""
        ...

    def arrays(self) -> Arrays:
        """Everything fitted, as arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """The fitted scorer that gave these arrays."""
        ...


def unit_rows(embeddings: AnyFloats) -> Floats32:
    """Each row divided by its Euclidean norm; zero rows stay zero."""
    rows = np.asarray(embeddings)
    if rows.dtype != np.float32:
        # Squares of float16 overflow, and those of large float64 would in float32.
        rows = rows.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    unit = np.divide(rows, norms, out=np.zeros(rows.shape, np.float64), where=norms > 0)
    on_sphere: Floats32 = unit.astype(np.float32)
    return on_sphere
