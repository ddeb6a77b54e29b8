"""Numbers as people read them: few digits, shares in percent, and what to say of two distributions."""

import numpy as np

from monitor.reference.rows import Floats


def sensible(value: float) -> str:
    """A number with the digits that people read: whole numbers whole, others with three figures."""
    if not np.isfinite(value):
        return str(value)
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:.0f}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:.3g}"


def quartiles_in_words(before: Floats, now: Floats) -> tuple[str, list[str]]:
    """What to say of two distributions, and its words before and now: their medians, or their middle half where the
    spread moved more than the middle.

    Args:
        before: quartiles, shape `(3,)`.
        now: quartiles, shape `(3,)`.
    """
    moved, widened = abs(now[1] - before[1]), abs((now[2] - now[0]) - (before[2] - before[0]))
    if moved >= widened / 2:
        return "median", [sensible(float(quartiles[1])) for quartiles in (before, now)]
    halves = [f"{sensible(float(quartiles[0]))} to {sensible(float(quartiles[2]))}" for quartiles in (before, now)]
    return "middle half", halves


def share_in_words(share: float) -> str:
    """A share in percent, a small one with a digit more."""
    return f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{share:.1%}"
