"""Windows known by their sums alone: added up by the minute, checked in milliseconds however many predictions they hold.

A row's features add up, and a window's mean is all that the statistics need. What permuting rows tells of chance, normal
draws with the covariance of the reference's rows tell here: exact only for many rows, so that small windows are refused.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.reference import Reference
from monitor.rows import Rows
from monitor.shift.family import weigh
from monitor.shift.window_test import groups_of
from store.errors import BadInput
from store.rollups import Rollup

Floats = npt.NDArray[np.float64]

FEWEST_ROWS = 200


@dataclass(frozen=True)
class WindowSums:
    """Sums over the rows of a window: how many, how many flagged, and their features `(f,)`. They add up.

    `features_sha256` names the map from rows to features; only sums of one map can be added.
    """

    features_sha256: str
    count: int
    flagged: int
    features: Floats

    @classmethod
    def of(cls, reference: Reference, rows: Rows) -> "WindowSums":
        """The sums of these rows."""
        found = reference.row_features
        raw = found.rows(rows).sum(axis=0, dtype=np.float64) + len(rows) * found.centre.astype(np.float64)
        return cls(found.sha256, len(rows), int((rows.scores >= reference.threshold).sum()), raw)

    @classmethod
    def nothing(cls, reference: Reference) -> "WindowSums":
        """The sums of no rows."""
        found = reference.row_features
        return cls(found.sha256, 0, 0, np.zeros(found.width))

    def __add__(self, other: "WindowSums") -> "WindowSums":
        if self.features_sha256 != other.features_sha256:
            raise BadInput("Sums of different references can't be added.", field="sums")
        return WindowSums(
            self.features_sha256, self.count + other.count, self.flagged + other.flagged, self.features + other.features
        )


@dataclass(frozen=True)
class SumsTest:
    """What the sums of n rows say: one verdict, its p-value, and the adjusted p-value of each check."""

    detected: bool
    p_value: float
    checks: dict[str, float]
    flagged_share: float
    n: int


def total(parts: Iterable[WindowSums], reference: Reference) -> WindowSums:
    """All of them together."""
    whole = WindowSums.nothing(reference)
    for part in parts:
        whole = whole + part
    return whole


def check_sums(reference: Reference, sums: WindowSums, *, alpha: float = 0.01) -> SumsTest:
    """Is the window with these sums like the reference's rows?

    Raises:
        BadInput: sums of another reference, or of fewer than 200 rows.
    """
    features = reference.row_features
    if sums.features_sha256 != features.sha256:
        raise BadInput("These sums were made with another reference.", field="sums")
    if sums.count < FEWEST_ROWS:
        raise BadInput(
            f"Sums of {sums.count:,} rows are too few for this test, which needs {FEWEST_ROWS}: check the rows themselves.",
            field="sums",
        )
    seen = sums.features / sums.count - features.centre
    scale = np.float32(np.sqrt(1 / len(features.held_out) + 1 / sums.count))
    gaps = np.concatenate([seen[None].astype(np.float32), features.normal_draws * scale])
    family = weigh(gaps, features.blocks, groups_of(features))
    checks = {name: group.adjusted for name, group in family.groups.items()}
    return SumsTest(family.p_value <= alpha, family.p_value, checks, sums.flagged / sums.count, sums.count)


def sums_of(reference: Reference, rollup: Rollup) -> WindowSums:
    """The sums of a rollup that was added up by the reference's map."""
    return WindowSums(reference.row_features.sha256, rollup.count, rollup.flagged, rollup.features)
