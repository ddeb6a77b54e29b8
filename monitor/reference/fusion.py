"""One out-of-domain score from several, without any out-of-domain data.

Each scorer's value is turned into u = −log p against held-out rows, so that scorers on different scales can be added
(Fisher 1925). Past the calibration's 90 % quantile an exponential tail is fitted to the excesses: the empirical p ends
at 1/(m + 1), and ties there would lose the order among far inputs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

TAIL_SHARE = 0.10


@dataclass(frozen=True)
class TailLog:
    """−log of the upper-tail probability of one scorer's values.

    Attributes:
        values: the m calibration values, ascending, shape `(m,)`.
        threshold: their 90 % quantile, from which the tail is exponential.
        scale: the mean excess above it.
    """

    values: Floats
    threshold: float
    scale: float

    @classmethod
    def fit(cls, values: Floats) -> "TailLog":
        """Fit to calibration values of shape `(m,)`, m ≥ 1."""
        ordered = np.sort(values)
        threshold = float(np.quantile(ordered, 1 - TAIL_SHARE))
        excesses = ordered[ordered > threshold] - threshold
        scale = float(excesses.mean()) if excesses.size else 0.0
        # With identical calibration values any larger one is infinitely rare; a floor keeps the order and the numbers.
        floor = 1e-9 * max(1.0, abs(threshold))
        return cls(ordered, threshold, max(scale, floor))

    def __call__(self, values: Floats) -> Floats:
        """u of each value, shape `(n,)`; it never falls as the value rises, and is continuous where body and tail meet."""
        m = self.values.shape[0]
        # Interpolated between calibration values, so that the score keeps the order within the body too.
        body = np.interp(values, self.values, np.arange(1, m + 1) / (m + 1))
        u = -np.log1p(-np.minimum(body, 1 - TAIL_SHARE))
        excess = np.maximum(values - self.threshold, 0.0)
        tail = -np.log(TAIL_SHARE) + excess / self.scale
        fused: Floats = np.where(values > self.threshold, tail, u)
        return fused
