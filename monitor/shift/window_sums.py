"""Windows known by their sums alone: a row's features add up, and a window's mean is all that the statistics need."""

from collections.abc import Iterable
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
    """Sums over the rows of a window: how many, how many flagged, their features `(f,)` and the squares of these `(f,)`.
    They add up.

    `features_sha256` names the map from rows to features; only sums of one map can be added.
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

    @classmethod
    def nothing(cls, reference: Reference) -> "WindowSums":
        """The sums of no rows."""
        found = features_of(reference)
        return cls(found.sha256, 0, 0, np.zeros(found.width), np.zeros(found.width))

    @property
    def variances(self) -> Floats:
        """Of the features, `(f,)`."""
        return np.maximum(self.squares / self.count - (self.features / self.count) ** 2, 0.0)

    def __add__(self, other: "WindowSums") -> "WindowSums":
        return self._with(other, 1)

    def __sub__(self, other: "WindowSums") -> "WindowSums":
        """The sums of the rows that are not among the other's, which must be some of these."""
        return self._with(other, -1)

    def _with(self, other: "WindowSums", sign: int) -> "WindowSums":
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
    """What is added up of each row: its features, then the squares of these, `(n, 2 f)`."""
    found = features_of(reference)
    raw = (found.rows(rows) + found.centre).astype(np.float64)
    return np.concatenate([raw, raw**2], axis=1)


def total(parts: Iterable[WindowSums], reference: Reference) -> WindowSums:
    """All of them together."""
    whole = WindowSums.nothing(reference)
    for part in parts:
        whole = whole + part
    return whole


def sums_of(reference: Reference, rollup: Rollup) -> WindowSums:
    """The sums of a rollup that was added up by the reference's map (`monitor.history.aggregate`)."""
    features, squares = np.split(rollup.features, 2)
    return WindowSums(features_of(reference).sha256, rollup.count, rollup.flagged, features, squares)
