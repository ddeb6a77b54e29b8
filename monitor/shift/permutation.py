"""Draws of the gap between two means, from a world in which nothing has changed."""

import numpy as np

from monitor.reference.rows import Floats32, Places

FEW_ROWS = 6_000
DRAWS_OF_FEW = 999
DRAWS_OF_MANY = 199
_DRAWS_AT_ONCE = 100


def number_of_permutations(rows: int, alpha: float) -> int:
    """How many draws tell p ≤ alpha from chance, for so many rows."""
    return max(DRAWS_OF_FEW if rows <= FEW_ROWS else DRAWS_OF_MANY, int(np.ceil(2 / alpha)))


def permuted_gaps(
    before: Floats32,
    now: Floats32,
    draws: int,
    rng: np.random.Generator,
    strata: tuple[Places, Places] | None = None,
) -> Floats32:
    """The gap mean(now) − mean(before), then the same for permuted rows.

    Args:
        before: features `(m, f)`.
        now: features `(n, f)`.
        draws: how many permutations.
        rng: all randomness.
        strata: the class of each row, `(m,)` and `(n,)`: rows change places within their class only, and `before` is
            weighed as if its classes came in the mix of `now`. Classes on one side only are left out.

    Returns:
        Shape `(1 + draws, f)`.
    """
    rows = np.concatenate([before, now])
    weights = [_weights(len(before), len(now), 1.0)] if strata is None else []
    places = [np.arange(len(rows))] if strata is None else []
    if strata is not None:
        both = np.intersect1d(strata[0], strata[1])
        total = int(np.isin(strata[1], both).sum())
        for one in both:
            mine, theirs = np.flatnonzero(strata[0] == one), np.flatnonzero(strata[1] == one)
            places.append(np.r_[mine, theirs + len(before)])
            weights.append(_weights(mine.size, theirs.size, theirs.size / total))
    seen, order = np.concatenate(weights), np.concatenate(places)
    features = rows if strata is None else rows[order]
    gaps = [seen[None] @ features]
    for start in range(0, draws, _DRAWS_AT_ONCE):
        number = min(_DRAWS_AT_ONCE, draws - start)
        shuffled = [rng.permuted(np.tile(part, (number, 1)), axis=1) for part in weights]
        gaps.append(np.concatenate(shuffled, axis=1) @ features)
    return np.concatenate(gaps)


def _weights(m: int, n: int, share: float) -> Floats32:
    return np.concatenate([np.full(m, -share / m), np.full(n, share / n)]).astype(np.float32)
