"""Draws of the gap between two means under the null hypothesis, by permuting rows."""

import numpy as np

from monitor.reference.rows import ClassIndices, Floats32, RowIndices

FEW_ROWS = 6_000
DRAWS_OF_FEW = 999
DRAWS_OF_MANY = 199
_DRAWS_AT_ONCE = 100


def number_of_permutations(rows: int, alpha: float) -> int:
    """How many permutations of so many rows are enough for a p-value of alpha, at an affordable cost."""
    return max(DRAWS_OF_FEW if rows <= FEW_ROWS else DRAWS_OF_MANY, int(np.ceil(2 / alpha)))


def permuted_gaps(
    reference: Floats32,
    window: Floats32,
    draws: int,
    rng: np.random.Generator,
    strata: tuple[ClassIndices, ClassIndices] | None = None,
) -> Floats32:
    """The gap mean(window) − mean(reference), then the same for permuted rows.

    Args:
        reference: features, shape `(m, f)`.
        window: features, shape `(n, f)`.
        draws: how many permutations.
        rng: all randomness.
        strata: the class of each row, shapes `(m,)` and `(n,)`: rows are permuted within their class only, and the
            reference is weighted as if its classes came in the mix of the window. Classes on one side only are left out.

    Returns:
        Shape `(1 + draws, f)`.
    """
    rows = np.concatenate([reference, window])
    if strata is None:
        weights = [_weights(len(reference), len(window), 1.0)]
        features = rows
    else:
        weights, row_indices = _stratified_weights(*strata)
        features = rows[row_indices]
    gaps = [np.concatenate(weights)[None] @ features]
    for start in range(0, draws, _DRAWS_AT_ONCE):
        number = min(_DRAWS_AT_ONCE, draws - start)
        shuffled = [rng.permuted(np.tile(stratum, (number, 1)), axis=1) for stratum in weights]
        gaps.append(np.concatenate(shuffled, axis=1) @ features)
    return np.concatenate(gaps)


def _stratified_weights(reference: ClassIndices, window: ClassIndices) -> tuple[list[Floats32], RowIndices]:
    """The weights of the rows of each class that both sides have, and the indices of all these rows, in this order."""
    shared = np.intersect1d(reference, window)
    total = int(np.isin(window, shared).sum())
    weights, row_indices = [], []
    for class_index in shared:
        reference_indices = np.flatnonzero(reference == class_index)
        window_indices = np.flatnonzero(window == class_index)
        row_indices.append(np.r_[reference_indices, window_indices + len(reference)])
        weights.append(_weights(reference_indices.size, window_indices.size, window_indices.size / total))
    return weights, np.concatenate(row_indices)


def _weights(m: int, n: int, share: float) -> Floats32:
    """Weights of m reference rows, then of n window rows, whose weighted sum is their gap times `share`."""
    return np.concatenate([np.full(m, -share / m), np.full(n, share / n)]).astype(np.float32)
