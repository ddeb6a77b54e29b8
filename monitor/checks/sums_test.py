"""Is a window that is known by its sums alone like the reference's rows, or like another window?

What permuting rows tells of chance, normal draws with the covariance of the reference's rows tell here: exact only for many
rows, so that small windows are refused.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.checks.window_test import groups_of
from monitor.reference.profile import Reference
from monitor.shift.max_t import max_t_test
from monitor.shift.row_features import RowFeatures, features_of
from monitor.shift.window_sums import WindowSums
from store.errors import BadInput

Floats32 = npt.NDArray[np.float32]

FEWEST_ROWS = 200
_NEARLY_CONSTANT = 1e-6
_SEED = 20_261_124


@dataclass(frozen=True)
class WindowSumsTest:
    """What the sums of n rows say: one verdict, its p-value, and the adjusted p-value of each check."""

    detected: bool
    p_value: float
    checks: dict[str, float]
    flagged_share: float
    n: int


def check_sums(
    reference: Reference, sums: WindowSums, *, against: WindowSums | None = None, alpha: float = 0.01
) -> WindowSumsTest:
    """Is the window with these sums like the reference's rows, or like another window?

    Args:
        reference: whose map made the sums.
        sums: of the window.
        against: of the other window; by default the reference's own rows.
        alpha: the largest p-value at which they are told apart.

    Raises:
        BadInput: sums of another reference, or of fewer than 200 rows.
    """
    features = features_of(reference)
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
    family = max_t_test(gaps, features.blocks, groups_of(features))
    checks = {name: group.adjusted for name, group in family.groups.items()}
    return WindowSumsTest(family.p_value <= alpha, family.p_value, checks, sums.flagged / sums.count, sums.count)


def _draws(features: RowFeatures, both: WindowSums) -> Floats32:
    """Normal draws with the correlations of the reference's rows, and the variances of these windows' own rows: where both
    have shifted they vary as the reference's never did."""
    usual, now = features.held_out.std(axis=0), np.sqrt(both.variances).astype(np.float32)
    known = usual > _NEARLY_CONSTANT
    draws: Floats32 = features.normal_draws * np.divide(now, usual, out=np.zeros_like(now), where=known)
    rng = np.random.default_rng(_SEED)
    draws[:, ~known] = rng.standard_normal((len(draws), int((~known).sum())), dtype=np.float32) * now[~known]
    return draws
