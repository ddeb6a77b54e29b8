"""Rows as they are compared: held-out ones, those of a baseline, those of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

# Squares of larger numbers overflow in float32; no network gives such.
LARGEST = 1e15


@dataclass(frozen=True)
class Rows:
    """n rows with what the learner and the scorers said of them.

    `embeddings` `(n, d)`; `logits` `(n, c)` where the learner predicts one class; `labels` `(n,)` where known; `parts`
    are the scorers' u = −log p, each `(n,)`, infinite for a row that is not finite.
    """

    embeddings: Floats32
    logits: Floats32 | None
    labels: Places | None
    parts: dict[str, Floats]

    @classmethod
    def of(
        cls,
        embeddings: npt.NDArray[np.floating],
        logits: npt.NDArray[np.floating] | None,
        labels: Places | None,
        parts: dict[str, Floats],
    ) -> Self:
        """Rows of any floating kind."""
        with np.errstate(over="ignore"):
            outputs = None if logits is None else logits.astype(np.float32)
            return cls(embeddings.astype(np.float32), outputs, labels, parts)

    @classmethod
    def joined(cls, several: Sequence[Self]) -> Self:
        """The rows of several of one kind, in order."""
        if len(several) == 1:
            return several[0]
        logits = [rows.logits for rows in several if rows.logits is not None]
        labels = [rows.labels for rows in several if rows.labels is not None]
        return cls(
            np.concatenate([rows.embeddings for rows in several]),
            np.concatenate(logits) if logits else None,
            np.concatenate(labels) if labels else None,
            {name: np.concatenate([rows.parts[name] for rows in several]) for name in several[0].parts},
        )

    def __len__(self) -> int:
        return int(self.embeddings.shape[0])

    def take(self, places: Places | npt.NDArray[np.bool_]) -> Self:
        """These rows only."""
        return type(self)(
            self.embeddings[places],
            None if self.logits is None else self.logits[places],
            None if self.labels is None else self.labels[places],
            {name: part[places] for name, part in self.parts.items()},
        )

    @cached_property
    def scores(self) -> Floats:
        """The fused OOD scores `(n,)`."""
        fused: Floats = np.mean(list(self.parts.values()), axis=0)
        return fused

    @cached_property
    def finite(self) -> npt.NDArray[np.bool_]:
        """Which rows can be computed with, `(n,)`."""
        return np.isfinite(self.scores)

    @cached_property
    def probabilities(self) -> Floats32 | None:
        """Softmax of the logits, `(n, c)`; rows that are not finite say nothing: all classes alike."""
        if self.logits is None:
            return None
        usable = np.where(self.finite[:, None], self.logits, np.float32(0))
        return softmax(usable, axis=1).astype(np.float32)

    @cached_property
    def class_indices(self) -> Places | None:
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
    """Embeddings as a file keeps them."""
    scale = float16_scale(embeddings)
    return (embeddings / scale).astype(np.float16).astype(np.float32) * np.float32(scale)
