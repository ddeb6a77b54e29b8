"""Accuracy from a small random sample that people labelled, with the learner's own probabilities for all rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from store.errors import BadInput


@dataclass(frozen=True)
class AuditedAccuracy:
    """Unbiased accuracy of all rows, shares from 0 to 1.

    Attributes:
        value: the accuracy.
        low: lower end of its interval.
        high: upper end of it.
        n: how many labels there were.
        labels_worth: how many labels would give as narrow an interval without the learner's probabilities.
    """

    value: float
    low: float
    high: float
    n: int
    labels_worth: float


def audited_accuracy(
    believed: npt.ArrayLike, audited: npt.ArrayLike, correct: npt.ArrayLike, *, level: float = 0.95
) -> AuditedAccuracy:
    """Prediction-powered accuracy (Angelopoulos et al. 2023; tuned as in PPI++, Angelopoulos, Duchi & Zrnic 2023).

    The mean probability of being right over all rows, corrected by its mean error on a uniform random sample. Unbiased
    whatever the probabilities are; the better they are, the narrower the interval, which is never wider than the
    sample's own by more than the tuning costs.

    Args:
        believed: probability that each row is right, shape `(N,)`; `correctness` gives it.
        audited: indices of the sample's rows, drawn uniformly without replacement, shape `(n,)`.
        correct: whether each row of the sample was right, shape `(n,)`.
        level: probability that the interval holds.

    Raises:
        BadInput: shapes that don't fit, or fewer than two labels.
    """
    probabilities = np.asarray(believed, np.float64)
    row_indices, correctness = np.asarray(audited, np.int64), np.asarray(correct, np.float64)
    if (
        probabilities.ndim != 1
        or row_indices.ndim != 1
        or row_indices.shape != correctness.shape
        or row_indices.size < 2
    ):
        raise BadInput(
            f"Give beliefs (N,), and two or more places and labels (n,): {probabilities.shape}, {row_indices.shape} and "
            f"{correctness.shape} came.",
            field="audited",
        )
    if (
        row_indices.min() < 0
        or row_indices.max() >= probabilities.size
        or np.unique(row_indices).size != row_indices.size
    ):
        raise BadInput("The audited places must be different rows among those with beliefs.", field="audited")
    n, total = row_indices.size, probabilities.size
    sampled = probabilities[row_indices]
    covariance = float(np.cov(sampled, correctness)[0, 1])
    variance = float(probabilities.var(ddof=1)) if total > 1 else 0.0
    weight = 0.0 if variance <= 0 else float(np.clip(covariance / variance / (1 + n / total), 0, 1))
    value = float(weight * probabilities.mean() + (correctness - weight * sampled).mean())
    # A sample all right or all wrong has no spread of its own: half a label of doubt keeps the interval honest.
    doubt = 0.5 / n * (1 - 0.5 / n)
    noise = max(float((correctness - weight * sampled).var(ddof=1)), doubt)
    spread = np.sqrt(noise / n + weight**2 * variance / total)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * spread)
    sample_variance = max(float(correctness.var(ddof=1)), doubt)
    return AuditedAccuracy(value, max(0.0, value - half), min(1.0, value + half), n, float(sample_variance / spread**2))
