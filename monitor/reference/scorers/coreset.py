"""Few rows that stand for all: some of every class, some where rows are many, and some where they are few."""

import numpy as np

from monitor.reference.scorers.base import Floats32, Places

_AT_ONCE = 32


def stratified(classes: Places | None, n: int, most: int, rng: np.random.Generator) -> Places:
    """Places of `most` of n rows: of every class half of an equal share if it has that many, the rest drawn from all."""
    if n <= most:
        return np.arange(n)
    if classes is None:
        return np.sort(rng.choice(n, most, replace=False))
    order = rng.permutation(n)
    by_class = order[np.argsort(classes[order], kind="stable")]
    ordered = classes[by_class]
    # The rank of each row within its class, in random order.
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))
    sure = rank < most // (2 * starts.size)
    others = rng.choice(by_class[~sure], most - int(sure.sum()), replace=False)
    return np.sort(np.r_[by_class[sure], others])


def spread_out(coordinates: Floats32, off: Floats32, begun: Places, most: int) -> Places:
    """Places of `most` rows: those begun with, then again and again the rows furthest from all chosen.

    k-centre greedy (Gonzalez 1985; for coresets Sener & Savarese 2018), a few at a time. Where rows are few an
    in-domain input would otherwise find no neighbour, and look strange.

    Args:
        coordinates: of the rows, shape `(n, q)`.
        off: their squared distances from the space, shape `(n,)`.
        begun: places to begin with.
        most: how many to choose.
    """
    squares = np.einsum("ij,ij->i", coordinates, coordinates) + off
    closest = np.full(len(squares), np.inf, np.float32)
    chosen = begun
    newest = begun
    while True:
        for start in range(0, newest.size, 512):
            some = newest[start : start + 512]
            distances = squares[:, None] + squares[some][None, :] - 2 * coordinates @ coordinates[some].T
            closest = np.minimum(closest, distances.min(axis=1))
        closest[newest] = -1
        if chosen.size >= min(most, len(squares)):
            return np.sort(chosen)
        number = min(_AT_ONCE, most - chosen.size, len(squares) - chosen.size)
        newest = np.argpartition(-closest, number - 1)[:number]
        chosen = np.r_[chosen, newest]
