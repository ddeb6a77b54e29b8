"""The one shape of a scorer: fit on training rows, score any rows, come back from arrays."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Features:
    """What a scorer sees of n rows: embeddings `(n, d)` and, where the learner has them, logits `(n, c)`. Finite."""

    embeddings: Floats
    logits: Floats | None


@dataclass(frozen=True)
class Training:
    """What a scorer is fitted on.

    `classes` are the labels `(n,)` as integers, predicted ones where no labels are known, or None where there are
    neither. `head` is the last linear layer: weights `(c, d)` and bias `(c,)`.
    """

    features: Features
    classes: npt.NDArray[np.int64] | None
    head: tuple[Floats, Floats] | None


class Scorer(Protocol):
    """A method that says how far a row lies from the training rows. Higher = further out."""

    name: ClassVar[str]

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
        """The fitted scorer that `arrays` came from."""
        ...


def unit_rows(embeddings: Floats) -> Floats:
    """Each row divided by its Euclidean norm; zero rows stay zero."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit: Floats = np.divide(embeddings, norms, out=np.zeros_like(embeddings), where=norms > 0)
    return unit
