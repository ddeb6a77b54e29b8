"""Is a window that is known by its sums alone like the reference's rows, or like another window?

Rows that are not kept can't be permuted. The law of chance comes from normal draws with the covariance of the reference's
rows instead; that is exact only for many rows, so that small windows are refused.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.checks.window_comparison import groups_of
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
    for window_sums in (sums,) if against is None else (sums, against):
        if window_sums.features_sha256 != features.sha256:
            raise BadInput("These sums were made with another reference.", field="sums")
        if window_sums.count < FEWEST_ROWS:
            raise BadInput(
                f"Sums of {window_sums.count:,} rows are too few for this test, which needs {FEWEST_ROWS}: check the rows "
                "themselves.",
                field="sums",
            )
    if against is None:
        mean, count, draws = features.centre.astype(np.float64), len(features.held_out), features.normal_draws
    else:
        mean, count, draws = against.features / against.count, against.count, _normal_draws(features, sums + against)
    gap = sums.features / sums.count - mean
    scale = np.float32(np.sqrt(1 / count + 1 / sums.count))
    gaps = np.concatenate([gap[None].astype(np.float32), draws * scale])
    result = max_t_test(gaps, features.blocks, groups_of(features))
    checks = {name: group.adjusted for name, group in result.groups.items()}
    return WindowSumsTest(result.p_value <= alpha, result.p_value, checks, sums.flagged / sums.count, sums.count)


def _normal_draws(features: RowFeatures, both: WindowSums) -> Floats32:
    """Normal draws with the correlations of the reference's rows, and the variances of both windows' own rows: where both
    have shifted, their rows vary as the reference's never did."""
    reference_spread = features.held_out.std(axis=0)
    spread = np.sqrt(both.variances).astype(np.float32)
    varies = reference_spread > _NEARLY_CONSTANT
    factors = np.divide(spread, reference_spread, out=np.zeros_like(spread), where=varies)
    draws: Floats32 = features.normal_draws * factors
    rng = np.random.default_rng(_SEED)
    draws[:, ~varies] = rng.standard_normal((len(draws), int((~varies).sum())), dtype=np.float32) * spread[~varies]
    return draws
