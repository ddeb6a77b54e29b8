"""Sums over the rows of a window, which replace the rows: the statistics need no more than the mean of the features."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from monitor.shift.row_features import features_of
from store.errors import BadInput
from store.rollups.rollups import Rollup

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class WindowSums:
    """Sums over the rows of a window; those of two windows can be added.

    Attributes:
        features_sha256: names the map from rows to features; only sums of one map can be added.
        count: how many rows.
        flagged: how many of them are flagged.
        features: the sum of their features, shape `(f,)`.
        squares: the sum of the squares of their features, shape `(f,)`.
    """

    features_sha256: str
    count: int
    flagged: int
    features: Floats
    squares: Floats

    @classmethod
    def of(cls, reference: Reference, rows: Rows) -> "WindowSums":
        """The sums of these rows."""
        features, squares = np.split(addends(reference, rows).sum(axis=0), 2)
        flagged = int((rows.scores >= reference.threshold).sum())
        return cls(features_of(reference).sha256, len(rows), flagged, features, squares)

    @property
    def variances(self) -> Floats:
        """The variances of the features, shape `(f,)`; `count` > 0."""
        return np.maximum(self.squares / self.count - (self.features / self.count) ** 2, 0.0)

    def __add__(self, other: "WindowSums") -> "WindowSums":
        """The sums of the rows of both.

        Raises:
            BadInput: they are of another reference.
        """
        return self._combined(other, 1)

    def __sub__(self, other: "WindowSums") -> "WindowSums":
        """The sums of the rows that are not in the other window, whose rows must all be in this one.

        Raises:
            BadInput: they are of another reference.
        """
        return self._combined(other, -1)

    def _combined(self, other: "WindowSums", sign: int) -> "WindowSums":
        if self.features_sha256 != other.features_sha256:
            raise BadInput("Sums of different references can't be added.", field="sums")
        return WindowSums(
            self.features_sha256,
            self.count + sign * other.count,
            self.flagged + sign * other.flagged,
            self.features + sign * other.features,
            self.squares + sign * other.squares,
        )


def addends(reference: Reference, rows: Rows) -> Floats:
    """What is summed over rows: the features of each row, then the squares of these, shape `(n, 2 f)`."""
    features = features_of(reference)
    uncentred = (features.rows(rows) + features.centre).astype(np.float64)
    return np.concatenate([uncentred, uncentred**2], axis=1)


def sums_of(reference: Reference, rollup: Rollup) -> WindowSums:
    """The sums in a rollup that was made with the reference's map (`monitor.history.aggregate`)."""
    features, squares = np.split(rollup.features, 2)
    return WindowSums(features_of(reference).sha256, rollup.count, rollup.flagged, features, squares)
