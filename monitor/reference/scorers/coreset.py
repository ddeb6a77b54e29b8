"""A coreset: few rows that represent all, those of small classes and of sparse regions included."""

import numpy as np

from monitor.reference.scorers.base import ClassIndices, Floats32, RowIndices

_CHOSEN_AT_ONCE = 32
_COMPARED_AT_ONCE = 512


def stratified_sample(classes: ClassIndices | None, n: int, size: int, rng: np.random.Generator) -> RowIndices:
    """Indices of `size` of n rows, ascending; of all rows where they are no more.

    Every class gets half of an equal share, if it has so many rows; the rest are drawn from all others.

    Args:
        classes: of the rows, shape `(n,)`; None to draw from all rows alike.
        n: how many rows there are.
        size: how many to draw.
        rng: all randomness.
    """
    if n <= size:
        return np.arange(n)
    if classes is None:
        return np.sort(rng.choice(n, size, replace=False))
    order = rng.permutation(n)
    by_class = order[np.argsort(classes[order], kind="stable")]
    ordered = classes[by_class]
    # The rank of each row within its class, in random order.
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))
    guaranteed = rank < size // (2 * starts.size)
    others = rng.choice(by_class[~guaranteed], size - int(guaranteed.sum()), replace=False)
    return np.sort(np.r_[by_class[guaranteed], others])


def k_centre_greedy(coordinates: Floats32, squared_residuals: Floats32, initial: RowIndices, size: int) -> RowIndices:
    """Indices of `size` rows, ascending: the initial ones, then again and again the rows furthest from all chosen.

    k-centre greedy (Gonzalez 1985; for coresets Sener & Savarese 2018), 32 rows at a time. Where rows are few an
    in-domain input would otherwise find no neighbour, and look strange.

    Args:
        coordinates: of the rows, shape `(n, q)`.
        squared_residuals: their squared distances from the space, shape `(n,)`.
        initial: indices of the rows to begin with.
        size: how many to choose.
    """
    squares = np.einsum("ij,ij->i", coordinates, coordinates) + squared_residuals
    closest = np.full(len(squares), np.inf, np.float32)
    chosen = initial
    newest = initial
    while True:
        for start in range(0, newest.size, _COMPARED_AT_ONCE):
            centres = newest[start : start + _COMPARED_AT_ONCE]
            distances = squares[:, None] + squares[centres][None, :] - 2 * coordinates @ coordinates[centres].T
            closest = np.minimum(closest, distances.min(axis=1))
        closest[newest] = -1
        if chosen.size >= min(size, len(squares)):
            return np.sort(chosen)
        number = min(_CHOSEN_AT_ONCE, size - chosen.size, len(squares) - chosen.size)
        newest = np.argpartition(-closest, number - 1)[:number]
        chosen = np.r_[chosen, newest]
