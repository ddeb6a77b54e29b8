"""Accuracy from labels that come late, with an interval that holds however often it is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.errors import BadInput

Floats = npt.NDArray[np.float64]

GRID = 1_001
# The share of its capital that a bet may lose at once; a half is the paper's advice.
LARGEST_BET = 0.5


@dataclass(frozen=True)
class RealizedAccuracy:
    """The share of n labelled predictions that were right, with an anytime-valid interval."""

    value: float
    low: float
    high: float
    n: int


def realized_accuracy(correct: npt.ArrayLike, *, level: float = 0.95) -> RealizedAccuracy:
    """The accuracy behind a growing stream of labels.

    The hedged capital process of Waudby-Smith & Ramdas (2024): for each possible accuracy m, bets that it is higher and
    that it is lower; an m at which a bettor would have grown rich is ruled out, for good. With probability `level` the
    interval holds the true accuracy at every length of the stream at once, so that one may look every day.

    Args:
        correct: whether each prediction was right, shape `(n,)`, in the order in which labels came.
        level: probability that all intervals hold.

    Raises:
        BadInput: no labels, or values other than 0 and 1.
    """
    correct = np.asarray(correct)
    return realized_accuracies(correct, [correct.size], level=level)[0]


def realized_accuracies(
    correct: npt.ArrayLike, counts: Sequence[int], *, level: float = 0.95
) -> list[RealizedAccuracy]:
    """`realized_accuracy` after the first labels of a stream, for each of these numbers of labels, which ascend.

    Raises:
        BadInput: as `realized_accuracy`.
    """
    x = np.asarray(correct, np.float64)
    if x.ndim != 1 or x.size == 0 or not np.isin(x, (0.0, 1.0)).all():
        raise BadInput("Give at least one label as right or wrong, shape (n,).", field="correct")
    m = np.linspace(0, 1, GRID)
    with np.errstate(divide="ignore"):
        largest_up, largest_down = LARGEST_BET / m, LARGEST_BET / (1 - m)
    log_up, log_down = np.zeros(GRID), np.zeros(GRID)
    log_richest = np.full(GRID, -np.inf)
    accuracies = []
    for n, (value, bet) in enumerate(zip(x, _bets(x, level), strict=True), start=1):
        log_up += np.log1p(np.minimum(bet, largest_up) * (value - m))
        log_down += np.log1p(-np.minimum(bet, largest_down) * (value - m))
        log_richest = np.maximum(log_richest, np.maximum(log_up, log_down))
        if n in counts:
            possible = m[log_richest + np.log(0.5) < np.log(1 / (1 - level))]
            accuracies.append(_interval(float(x[:n].mean()), possible, n))
    return accuracies


def _bets(x: Floats, level: float) -> Floats:
    """The share of the capital that is bet on each label, by the labels before it."""
    steps = np.arange(1, x.size + 1)
    mean = (0.5 + np.cumsum(x)) / (steps + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (steps + 1)
    previous_variance = np.r_[0.25, variance[:-1]]
    bets: Floats = np.sqrt(2 * np.log(2 / (1 - level)) / (previous_variance * steps * np.log(steps + 1)))
    return bets


def _interval(share: float, possible: Floats, n: int) -> RealizedAccuracy:
    if possible.size == 0:
        return RealizedAccuracy(share, share, share, n)
    # The grid is as fine as a tenth of a percent: its neighbours are not ruled out.
    step = 1 / (GRID - 1)
    return RealizedAccuracy(share, max(0.0, possible[0] - step), min(1.0, possible[-1] + step), n)
