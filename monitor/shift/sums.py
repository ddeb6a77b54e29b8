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
from monitor.shift.features import RowFeatures
from monitor.shift.window_test import groups_of
from store.errors import BadInput
from store.rollups import Rollup

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

FEWEST_ROWS = 200
_NEARLY_CONSTANT = 1e-6
_SEED = 20_261_124


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
        return cls(reference.row_features.sha256, len(rows), flagged, features, squares)

    @classmethod
    def nothing(cls, reference: Reference) -> "WindowSums":
        """The sums of no rows."""
        found = reference.row_features
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


@dataclass(frozen=True)
class SumsTest:
    """What the sums of n rows say: one verdict, its p-value, and the adjusted p-value of each check."""

    detected: bool
    p_value: float
    checks: dict[str, float]
    flagged_share: float
    n: int


def addends(reference: Reference, rows: Rows) -> Floats:
    """What is added up of each row: its features, then the squares of these, `(n, 2 f)`."""
    found = reference.row_features
    raw = (found.rows(rows) + found.centre).astype(np.float64)
    return np.concatenate([raw, raw**2], axis=1)


def total(parts: Iterable[WindowSums], reference: Reference) -> WindowSums:
    """All of them together."""
    whole = WindowSums.nothing(reference)
    for part in parts:
        whole = whole + part
    return whole


def check_sums(
    reference: Reference, sums: WindowSums, *, against: WindowSums | None = None, alpha: float = 0.01
) -> SumsTest:
    """Is the window with these sums like the reference's rows, or like another window?

    Args:
        reference: whose map made the sums.
        sums: of the window.
        against: of the other window; by default the reference's own rows.
        alpha: the largest p-value at which they are told apart.

    Raises:
        BadInput: sums of another reference, or of fewer than 200 rows.
    """
    features = reference.row_features
    for one in (sums,) if against is None else (sums, against):
        if one.features_sha256 != features.sha256:
            raise BadInput("These sums were made with another reference.", field="sums")
        if one.count < FEWEST_ROWS:
            raise BadInput(
                f"Sums of {one.count:,} rows are too few for this test, which needs {FEWEST_ROWS}: check the rows "
                "themselves.",
                field="sums",
            )
    if against is None:
        centre, others, draws = features.centre.astype(np.float64), len(features.held_out), features.normal_draws
    else:
        centre, others, draws = against.features / against.count, against.count, _draws(features, sums + against)
    seen = sums.features / sums.count - centre
    scale = np.float32(np.sqrt(1 / others + 1 / sums.count))
    gaps = np.concatenate([seen[None].astype(np.float32), draws * scale])
    family = weigh(gaps, features.blocks, groups_of(features))
    checks = {name: group.adjusted for name, group in family.groups.items()}
    return SumsTest(family.p_value <= alpha, family.p_value, checks, sums.flagged / sums.count, sums.count)


def _draws(features: RowFeatures, both: WindowSums) -> Floats32:
    """Normal draws with the correlations of the reference's rows, and the variances of these windows' own rows: where both
    have shifted they vary as the reference's never did."""
    usual, now = features.held_out.std(axis=0), np.sqrt(both.variances).astype(np.float32)
    known = usual > _NEARLY_CONSTANT
    draws: Floats32 = features.normal_draws * np.divide(now, usual, out=np.zeros_like(now), where=known)
    rng = np.random.default_rng(_SEED)
    draws[:, ~known] = rng.standard_normal((len(draws), int((~known).sum())), dtype=np.float32) * now[~known]
    return draws


def sums_of(reference: Reference, rollup: Rollup) -> WindowSums:
    """The sums of a rollup that was added up by the reference's map (`monitor.history.adding`)."""
    features, squares = np.split(rollup.features, 2)
    return WindowSums(reference.row_features.sha256, rollup.count, rollup.flagged, features, squares)
