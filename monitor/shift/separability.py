"""An effect size that a person can read: how well the best single direction separates two samples."""

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from monitor.reference.rows import Floats, Floats32


def separability(reference: Floats32, window: Floats32, rng: np.random.Generator) -> float:
    """The cross-fitted AUC of the best linear direction between two samples: 0.5 = not separated, 1 = completely.

    The direction (Fisher 1936, covariance shrunk by Ledoit & Wolf 2004) is learned on one half and judged on the other.

    Args:
        reference: shape `(m, d)`.
        window: shape `(n, d)`.
        rng: of the halves.

    Returns:
        At least 0.5; 0.5 where a sample has fewer than four rows.
    """
    if min(len(reference), len(window)) < 4:
        return 0.5
    reference_halves, window_halves = _halves(reference, rng), _halves(window, rng)
    areas = []
    for fitted, judged in ((0, 1), (1, 0)):
        direction = _fisher_direction(reference_halves[fitted], window_halves[fitted])
        values = np.concatenate([reference_halves[judged] @ direction, window_halves[judged] @ direction])
        is_window = np.concatenate([np.zeros(len(reference_halves[judged])), np.ones(len(window_halves[judged]))])
        areas.append(float(roc_auc_score(is_window, values)))
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
    """At most so many of the rows, drawn uniformly, in their order."""
    if rows.shape[0] <= at_most:
        return rows
    return rows[np.sort(rng.choice(rows.shape[0], at_most, replace=False))]
