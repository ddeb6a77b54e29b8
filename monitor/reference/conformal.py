"""Conformal p-values: how rare a score is among held-out rows, valid in finite samples (Vovk et al. 2005)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]


def conformal_p_values(calibration: Floats, scores: Floats) -> Floats:
    """The conformal p-value (1 + #{calibration ≥ s}) / (m + 1) of each score s (Vovk et al. 2005).

    Args:
        calibration: m scores of held-out rows, sorted ascending, shape `(m,)`.
        scores: shape `(n,)`; infinite ones get the smallest p-value.

    Returns:
        Shape `(n,)`, in (0, 1]. If the scored row is exchangeable with the calibration rows, P(p ≤ a) ≤ a for every a.
    """
    m = calibration.shape[0]
    at_least = m - np.searchsorted(calibration, scores, side="left")
    p_values: Floats = (1.0 + at_least) / (m + 1.0)
    return p_values


def largest_flagged_rank(alpha: float, m: int) -> int:
    """How many of the m + 1 conformal ranks are flagged at `alpha`; 0 if nothing can ever be flagged."""
    # The tiny slack keeps 0.01 · 1100 = 11 from rounding down to 10.
    return int(np.floor(alpha * (m + 1) + 1e-9))


@dataclass(frozen=True)
class FlaggedLaw:
    """The law of the number of flagged rows among n in-domain ones: beta-binomial.

    The calibration set is finite, so the true flagged rate behind the threshold is itself random, Beta(a, m + 1 − a)
    with a = ⌊alpha (m + 1)⌋; a binomial test would report a shift too often (Vovk 2012; Bates et al. 2023).

    Attributes:
        m: how many calibration rows there are.
        alpha: the p-value at or below which a row is flagged.
    """

    m: int
    alpha: float

    @property
    def rank(self) -> int:
        """a, how many of the m + 1 ranks are flagged."""
        return largest_flagged_rank(self.alpha, self.m)

    @property
    def expected_share(self) -> float:
        """The mean share of flagged rows among in-domain ones, a / (m + 1)."""
        return self.rank / (self.m + 1)

    def p_value(self, flagged: int, n: int) -> float:
        """P(at least this many flagged among n in-domain rows).

        Raises:
            ValueError: with so few calibration rows nothing can be flagged at this alpha.
        """
        if self.rank == 0:
            raise ValueError(f"{self.m} calibration rows can't flag anything at alpha {self.alpha}")
        return float(stats.betabinom.sf(flagged - 1, n, self.rank, self.m + 1 - self.rank))

    def interval(self, n: int, level: float = 0.95) -> tuple[float, float]:
        """The range that holds the flagged share of n in-domain rows with probability `level`; n > 0 and `rank` > 0."""
        tail = (1 - level) / 2
        law = stats.betabinom(n, self.rank, self.m + 1 - self.rank)
        return float(law.ppf(tail)) / n, float(law.ppf(1 - tail)) / n


def flagged_p_value(law: FlaggedLaw, flagged: int, total: int) -> float:
    """P(at least `flagged` of `total` rows are flagged if nothing has changed); 1 where there are none or none can be."""
    return law.p_value(flagged, total) if law.rank and total else 1.0
