"""Many statistics, one error rate: each is weighed against the same draws of a world in which nothing has changed.

Every statistic is a function of one vector, the gap between two means of features. Draws of that gap under the null
(permutations of rows, or normal ones where only sums are known) give each statistic's own law, and the law of the most
surprising of them all (Westfall & Young 1993): correlations between statistics are paid for once, and the family-wise
error is at most alpha, exactly so under permutation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, gammaln

from monitor.reference.rows import Floats32
from monitor.shift.row_features import Block, Kind

Floats = npt.NDArray[np.float64]

_SMALLEST = 1e-290


@dataclass(frozen=True)
class GroupPValue:
    """What a group of statistics says.

    `p_value` is of the group alone, `adjusted` of the group among all groups; `strongest` names its most surprising
    statistic and `statistic` is that one's value.
    """

    p_value: float
    adjusted: float
    strongest: str
    statistic: float


@dataclass(frozen=True)
class MaxTResult:
    """All groups together: `p_value` is the smallest adjusted one."""

    p_value: float
    groups: dict[str, GroupPValue]
    draws: int


def max_t_test(gaps: Floats32, blocks: Sequence[Block], groups: Mapping[str, Sequence[str]]) -> MaxTResult:
    """Weigh the gap that was seen among draws.

    Args:
        gaps: the gap that was seen, then draws of it under the null, shape `(1 + draws, f)`.
        blocks: where the statistics lie.
        groups: names of blocks that answer one question, by the question's name.
    """
    by_name = {block.name: statistic(gaps, block) for block in blocks}
    surprise = {name: _surprise(values) for name, values in by_name.items()}
    strongest = {name: np.max([surprise[block] for block in members], axis=0) for name, members in groups.items()}
    over_all = np.max(list(strongest.values()), axis=0)
    found = {}
    for name, members in groups.items():
        first = max(members, key=lambda block: surprise[block][0])
        found[name] = GroupPValue(
            p_value=_rank(strongest[name], strongest[name][0]),
            adjusted=_rank(over_all, strongest[name][0]),
            strongest=first,
            statistic=float(by_name[first][0]),
        )
    return MaxTResult(_rank(over_all, over_all[0]), found, len(gaps) - 1)


def statistic(gaps: Floats32, block: Block) -> Floats:
    """One statistic of each gap, shape `(1 + draws,)`."""
    part = gaps[:, block.columns]
    if block.kind is Kind.SQUARES:
        values = np.einsum("ij,ij,j->i", part, part, block.weights, optimize=True)
    elif block.kind is Kind.LARGEST:
        values = np.abs(part * block.weights).max(axis=1)
    else:
        values = np.maximum((part * block.weights).max(axis=1), 0.0)
    found: Floats = values.astype(np.float64)
    return found


def _surprise(values: Floats) -> Floats:
    """−log of how rare each value is by a gamma law of the same mean and variance, so that statistics compare.

    Fitted to the seen value and the draws alike: a symmetric function of them all, which keeps the test exact.
    """
    mean, variance = values.mean(), values.var()
    if variance <= 1e-24 * max(mean, 1e-300) ** 2 or mean <= 0:
        return np.zeros_like(values)
    # Rounded: sums in another order must not turn a tie into a rank.
    return np.round(gamma_surprise(values * (mean / variance), mean**2 / variance), 6)


def gamma_surprise(values: Floats, shape: float) -> Floats:
    """−log P(X ≥ value) of a gamma law of scale 1, as `scipy.stats.gamma.logsf` has it at several times the cost."""
    survival = gammaincc(shape, values)
    far = survival < _SMALLEST
    surprise: Floats = -np.log(np.where(far, 1.0, survival))
    # Γ(a, x) ≈ xᵃ e⁻ˣ / (x − a + 1), which so far out is as good.
    x = values[far]
    surprise[far] = x - (shape - 1) * np.log(x) + gammaln(shape) + np.log1p(-(shape - 1) / x)
    return surprise


def _rank(draws: Floats, seen: float) -> float:
    """The share of draws, the seen one among them, that are at least as surprising."""
    return float((draws >= seen).mean())
