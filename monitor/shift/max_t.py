"""The max-T test: many statistics, one error rate, judged against the same draws under the null hypothesis.

Every statistic is a function of one vector, the gap between two means of features. Draws of that gap under the null
(permutations of rows, or normal ones where only sums are known) give each statistic's own law, and the law of the most
surprising of them all (Westfall & Young 1993): correlations between statistics are paid for once, and the family-wise
error is at most alpha, exactly so under permutation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammaln

from monitor.reference.rows import Floats, Floats32
from monitor.shift.row_features import BlockStatistic, FeatureBlock

_SMALLEST_SURVIVAL = 1e-290


@dataclass(frozen=True)
class GroupPValue:
    """The p-value of a group of statistics.

    Attributes:
        p_value: of the group alone.
        adjusted: of the group among all groups.
        strongest: the block with its most surprising statistic.
        statistic: that statistic's value.
    """

    p_value: float
    adjusted: float
    strongest: str
    statistic: float


@dataclass(frozen=True)
class MaxTResult:
    """All groups together: `p_value` is the smallest adjusted one, and `draws` how many draws it was judged against."""

    p_value: float
    groups: dict[str, GroupPValue]
    draws: int


def max_t_test(gaps: Floats32, blocks: Sequence[FeatureBlock], groups: Mapping[str, Sequence[str]]) -> MaxTResult:
    """Judge the observed gap among draws of it under the null hypothesis (Westfall & Young 1993).

    Args:
        gaps: the observed gap, then draws of it under the null, shape `(1 + draws, f)`.
        blocks: the columns of each statistic.
        groups: names of blocks that answer one question, by the question's name.
    """
    by_name = {block.name: statistic(gaps, block) for block in blocks}
    surprise = {name: _surprise(values) for name, values in by_name.items()}
    strongest = {name: np.max([surprise[block] for block in members], axis=0) for name, members in groups.items()}
    over_groups = np.max(list(strongest.values()), axis=0)
    p_values = {}
    for name, members in groups.items():
        most_surprising = max(members, key=lambda block: surprise[block][0])
        p_values[name] = GroupPValue(
            p_value=_rank(strongest[name], strongest[name][0]),
            adjusted=_rank(over_groups, strongest[name][0]),
            strongest=most_surprising,
            statistic=float(by_name[most_surprising][0]),
        )
    return MaxTResult(_rank(over_groups, over_groups[0]), p_values, len(gaps) - 1)


def statistic(gaps: Floats32, block: FeatureBlock) -> Floats:
    """The block's statistic of each gap `(1 + draws, f)`, shape `(1 + draws,)`."""
    columns = gaps[:, block.columns]
    if block.statistic is BlockStatistic.SUM_OF_SQUARES:
        values = np.einsum("ij,ij,j->i", columns, columns, block.weights, optimize=True)
    elif block.statistic is BlockStatistic.LARGEST:
        values = np.abs(columns * block.weights).max(axis=1)
    else:
        values = np.maximum((columns * block.weights).max(axis=1), 0.0)
    statistics: Floats = values.astype(np.float64)
    return statistics


def _surprise(values: Floats) -> Floats:
    """−log of how rare each value is by a gamma law of the same mean and variance, so that statistics compare.

    Fitted to the observed value and the draws alike: a symmetric function of them all, which keeps the test exact.
    """
    mean, variance = values.mean(), values.var()
    if variance <= 1e-24 * max(mean, 1e-300) ** 2 or mean <= 0:
        return np.zeros_like(values)
    # Rounded: sums in another order must not turn a tie into a rank.
    return np.round(gamma_surprise(values * (mean / variance), mean**2 / variance), 6)


def gamma_surprise(values: Floats, shape: float) -> Floats:
    """−log P(X ≥ value) of a gamma law of scale 1, at a fraction of the cost of `scipy.stats.gamma.logsf`."""
    survival = gammaincc(shape, values)
    far = survival < _SMALLEST_SURVIVAL
    surprise: Floats = -np.log(np.where(far, 1.0, survival))
    # Γ(a, x) ≈ xᵃ e⁻ˣ / (x − a + 1), which so far out is as good.
    x = values[far]
    surprise[far] = x - (shape - 1) * np.log(x) + gammaln(shape) + np.log1p(-(shape - 1) / x)
    return surprise


def _rank(values: Floats, observed: float) -> float:
    """The share of values, the observed one among them, that are at least as large."""
    return float((values >= observed).mean())
