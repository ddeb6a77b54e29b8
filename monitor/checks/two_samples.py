"""Tools that compare two samples of embeddings: random Fourier features, permutations, separability."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]

BANDWIDTHS = (0.5, 1.0, 2.0)
FEATURES_PER_BANDWIDTH = 256
MEDIAN_ROWS = 500


def random_fourier_features(rows: Floats32, rng: np.random.Generator) -> Floats32:
    """Features φ(x) with φ(x)·φ(y) ≈ mean of Gaussian kernels around the median distance (Rahimi & Recht 2007).

    Args:
        rows: both samples together, shape `(n, d)`; the bandwidths depend on them symmetrically, so permutation tests
            stay exact.

    Returns:
        Shape `(n, 3 · 256)`.
    """
    few = rows if rows.shape[0] <= MEDIAN_ROWS else rows[rng.choice(rows.shape[0], MEDIAN_ROWS, replace=False)]
    median = float(np.median(pdist(few))) or 1.0
    blocks = []
    for factor in BANDWIDTHS:
        frequencies = rng.normal(scale=1 / (factor * median), size=(rows.shape[1], FEATURES_PER_BANDWIDTH))
        phases = rng.uniform(0, 2 * np.pi, FEATURES_PER_BANDWIDTH)
        blocks.append(np.cos(rows @ frequencies.astype(np.float32) + phases.astype(np.float32)))
    scale = np.float32(np.sqrt(2 / (FEATURES_PER_BANDWIDTH * len(BANDWIDTHS))))
    features: Floats32 = np.concatenate(blocks, axis=1) * scale
    return features


def permutation_mmd(
    reference: Floats32, window: Floats32, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Squared maximum mean discrepancy and its permutation p-value (Gretton et al. 2012).

    The statistic is ‖mean φ(reference) − mean φ(window)‖²: a weighted sum over rows, so that all permutations are one
    matrix product.

    Returns:
        MMD² and p ≥ 1/(permutations + 1).
    """
    features = random_fourier_features(np.concatenate([reference, window]), rng)
    features -= features.mean(axis=0)
    m, n = reference.shape[0], window.shape[0]
    weights = np.concatenate([np.full(m, -1 / m), np.full(n, 1 / n)]).astype(np.float32)
    observed = float(((weights @ features) ** 2).sum())
    as_large = 0
    for start in range(0, permutations, 100):
        number = min(100, permutations - start)
        shuffled = rng.permuted(np.tile(weights, (number, 1)), axis=1)
        as_large += int((((shuffled @ features) ** 2).sum(axis=1) >= observed * (1 - 1e-6)).sum())
    return observed, (1 + as_large) / (1 + permutations)


def separability(reference: Floats32, window: Floats32, rng: np.random.Generator) -> float:
    """How well the best linear direction tells the samples apart: cross-fitted AUC, 0.5 = not at all, 1 = wholly.

    The direction (Fisher 1936, covariance shrunk by Ledoit & Wolf 2004) is learned on one half and judged on the other.
    """
    halves = [_halves(rows, rng) for rows in (reference, window)]
    areas = []
    for learn, judge in ((0, 1), (1, 0)):
        direction = _fisher_direction(halves[0][learn], halves[1][learn])
        values = np.concatenate([halves[0][judge] @ direction, halves[1][judge] @ direction])
        truth = np.concatenate([np.zeros(len(halves[0][judge])), np.ones(len(halves[1][judge]))])
        areas.append(float(roc_auc_score(truth, values)))
    return max(0.5, float(np.mean(areas)))


def _fisher_direction(reference: Floats, window: Floats) -> Floats:
    within = np.concatenate([reference - reference.mean(axis=0), window - window.mean(axis=0)])
    covariance, _ = ledoit_wolf(within, assume_centered=True)
    ridge = max(float(np.trace(covariance)) / covariance.shape[0] * 1e-6, 1e-12)
    gap = window.mean(axis=0) - reference.mean(axis=0)
    direction: Floats = np.linalg.solve(covariance + ridge * np.eye(covariance.shape[0]), gap)
    return direction


def _halves(rows: Floats32, rng: np.random.Generator) -> tuple[Floats, Floats]:
    order = rng.permutation(rows.shape[0])
    middle = rows.shape[0] // 2
    return rows[order[:middle]].astype(np.float64), rows[order[middle:]].astype(np.float64)


def sample(rows: Floats32, at_most: int, rng: np.random.Generator) -> Floats32:
    """At most so many rows, drawn uniformly, in their order."""
    if rows.shape[0] <= at_most:
        return rows
    return rows[np.sort(rng.choice(rows.shape[0], at_most, replace=False))]


def simulated_p_value(statistic: Callable[[Floats], Floats], observed: float, draws: Floats) -> float:
    """Monte-Carlo p-value of an observed statistic among draws from its null (Davison & Hinkley 1997)."""
    return float((1 + (statistic(draws) >= observed * (1 - 1e-9)).sum()) / (1 + draws.shape[0]))
