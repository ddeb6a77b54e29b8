"""Real data as networks embed it, one set per file. A new one registers itself in `SETS`. Made once, kept in `bench/work`."""

from collections.abc import Callable

from bench.sets import digits, fashion, flights, reviews
from bench.sets.base import DomainSet, Rows, cached

SETS: dict[str, Callable[[], DomainSet]] = {
    "clothing": lambda: cached("clothing", fashion.clothing),
    "clothing, two classes held out": lambda: cached("clothing-8", fashion.eight_classes),
    "digits": lambda: cached("digits", digits.digits),
    "reviews": lambda: cached("reviews", reviews.reviews),
    "flights": lambda: cached("flights", flights.flights),
}

__all__ = ["SETS", "DomainSet", "Rows"]
