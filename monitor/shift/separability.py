"""How well the best single direction tells two samples apart: an effect size a person can read."""

import numpy as np
import numpy.typing as npt
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]


def separability(reference: Floats32, window: Floats32, rng: np.random.Generator) -> float:
    """How well the best linear direction tells the samples apart: cross-fitted AUC, 0.5 = not at all, 1 = wholly.

    The direction (Fisher 1936, covariance shrunk by Ledoit & Wolf 2004) is learned on one half and judged on the other.
    """
    if min(len(reference), len(window)) < 4:
        return 0.5
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
