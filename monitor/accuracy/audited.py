"""Accuracy from a small random sample that people labelled, helped by what the learner believes of the rest."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from store.errors import BadInput


@dataclass(frozen=True)
class AuditedAccuracy:
    """Unbiased accuracy of all rows, with an interval; `labels_worth` is how many plain labels would say as much."""

    value: float
    low: float
    high: float
    n: int
    labels_worth: float


def audited_accuracy(
    believed: npt.ArrayLike, audited: npt.ArrayLike, correct: npt.ArrayLike, *, level: float = 0.95
) -> AuditedAccuracy:
    """Prediction-powered accuracy (Angelopoulos et al. 2023; tuned as in PPI++, Angelopoulos, Duchi & Zrnic 2023).

    The mean belief over all rows, corrected by how wrong beliefs are on a uniform random sample. Unbiased whatever the
    beliefs are; the better they are, the narrower the interval, and never wider than the sample's own by more than the
    tuning costs.

    Args:
        believed: probability that each row is right, shape `(N,)`; `correctness` gives it.
        audited: places of the sample among them, drawn uniformly, shape `(n,)`.
        correct: whether each row of the sample was right, shape `(n,)`.
        level: probability that the interval holds.

    Raises:
        BadInput: shapes that don't fit, or fewer than two labels.
    """
    beliefs = np.asarray(believed, np.float64)
    places, right = np.asarray(audited, np.int64), np.asarray(correct, np.float64)
    if beliefs.ndim != 1 or places.ndim != 1 or places.shape != right.shape or places.size < 2:
        raise BadInput(
            f"Give beliefs (N,), and two or more places and labels (n,): {beliefs.shape}, {places.shape} and "
            f"{right.shape} came.",
            field="audited",
        )
    if places.min() < 0 or places.max() >= beliefs.size or np.unique(places).size != places.size:
        raise BadInput("The audited places must be different rows among those with beliefs.", field="audited")
    n, total = places.size, beliefs.size
    sampled = beliefs[places]
    covariance = float(np.cov(sampled, right)[0, 1])
    variance = float(beliefs.var(ddof=1)) if total > 1 else 0.0
    trust = 0.0 if variance <= 0 else float(np.clip(covariance / variance / (1 + n / total), 0, 1))
    value = float(trust * beliefs.mean() + (right - trust * sampled).mean())
    # A sample all right or all wrong has no spread of its own: half a label of doubt keeps the interval honest.
    doubt = 0.5 / n * (1 - 0.5 / n)
    noise = max(float((right - trust * sampled).var(ddof=1)), doubt)
    spread = np.sqrt(noise / n + trust**2 * variance / total)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * spread)
    plain = max(float(right.var(ddof=1)), doubt)
    return AuditedAccuracy(value, max(0.0, value - half), min(1.0, value + half), n, float(plain / spread**2))
