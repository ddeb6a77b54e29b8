"""Rows that are compared: held-out ones, those of a baseline, those of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
RowIndices = npt.NDArray[np.int64]
ClassIndices = npt.NDArray[np.int64]

# Squares of larger numbers overflow in float32; no network gives such.
LARGEST = 1e15


@dataclass(frozen=True)
class Rows:
    """n rows with the outputs of the learner and of the scorers.

    Attributes:
        embeddings: shape `(n, d)`.
        logits: shape `(n, c)`, where the learner predicts one class.
        labels: class indices, shape `(n,)`, where known.
        parts: each scorer's u = −log p, shape `(n,)`, infinite for a row that is not finite.
        numbers: what a learner that predicts numbers predicted, shape `(n, k)`, NaN where it is not known.
    """

    embeddings: Floats32
    logits: Floats32 | None
    labels: ClassIndices | None
    parts: dict[str, Floats]
    numbers: Floats32 | None = None

    @classmethod
    def of(
        cls,
        embeddings: npt.NDArray[np.floating],
        logits: npt.NDArray[np.floating] | None,
        labels: ClassIndices | None,
        parts: dict[str, Floats],
        numbers: npt.NDArray[np.floating] | None = None,
    ) -> Self:
        """Rows from arrays of any floating point precision, which become float32."""
        with np.errstate(over="ignore"):
            outputs, predicted = (None if given is None else given.astype(np.float32) for given in (logits, numbers))
            return cls(embeddings.astype(np.float32), outputs, labels, parts, predicted)

    @classmethod
    def joined(cls, pieces: Sequence[Self]) -> Self:
        """The rows of all pieces in order; all pieces have logits or none has, and likewise labels and numbers."""
        if len(pieces) == 1:
            return pieces[0]
        logits = [rows.logits for rows in pieces if rows.logits is not None]
        labels = [rows.labels for rows in pieces if rows.labels is not None]
        numbers = [rows.numbers for rows in pieces if rows.numbers is not None]
        return cls(
            np.concatenate([rows.embeddings for rows in pieces]),
            np.concatenate(logits) if logits else None,
            np.concatenate(labels) if labels else None,
            {name: np.concatenate([rows.parts[name] for rows in pieces]) for name in pieces[0].parts},
            np.concatenate(numbers) if numbers else None,
        )

    def __len__(self) -> int:
        return int(self.embeddings.shape[0])

    def take(self, row_indices: RowIndices | npt.NDArray[np.bool_]) -> Self:
        """Only the rows with these indices, or those where a mask of shape `(n,)` is true."""
        return type(self)(
            self.embeddings[row_indices],
            None if self.logits is None else self.logits[row_indices],
            None if self.labels is None else self.labels[row_indices],
            {name: part[row_indices] for name, part in self.parts.items()},
            None if self.numbers is None else self.numbers[row_indices],
        )

    @cached_property
    def scores(self) -> Floats:
        """The fused OOD scores `(n,)`."""
        fused: Floats = np.mean(list(self.parts.values()), axis=0)
        return fused

    @cached_property
    def finite(self) -> npt.NDArray[np.bool_]:
        """Which rows are finite, so that they can be computed with, `(n,)`."""
        return np.isfinite(self.scores)

    @cached_property
    def probabilities(self) -> Floats32 | None:
        """Softmax of the logits, `(n, c)`; in rows that are not finite all classes are alike."""
        if self.logits is None:
            return None
        usable = np.where(self.finite[:, None], self.logits, np.float32(0))
        return softmax(usable, axis=1).astype(np.float32)

    @cached_property
    def class_indices(self) -> ClassIndices | None:
        """The predicted classes `(n,)`."""
        return None if self.probabilities is None else self.probabilities.argmax(axis=1)

    @cached_property
    def confidences(self) -> Floats | None:
        """The probability of the predicted class `(n,)`."""
        return None if self.probabilities is None else self.probabilities.max(axis=1).astype(np.float64)


def float16_scale(embeddings: npt.NDArray[np.floating]) -> float:
    """A power of two that brings embeddings of any size into the range of float16; 1 for the usual sizes."""
    largest = float(np.abs(embeddings).max(initial=0.0))
    if 1e-2 < largest < 3e4 or largest == 0:
        return 1.0
    return float(2.0 ** np.round(np.log2(largest / 256)))


def through_float16(embeddings: npt.NDArray[np.floating]) -> Floats32:
    """Embeddings as a file keeps them: rounded to float16, in the units of `float16_scale`."""
    scale = float16_scale(embeddings)
    return (embeddings / scale).astype(np.float16).astype(np.float32) * np.float32(scale)
