"""In what a row of a table differs from another one: the columns that differ most, each in its own digits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.shift.readable_numbers import sensible
from monitor.shift.table_columns import Record, category_name, is_number

MISSING = "missing"
# Another category, or a missing value, counts as a number does that is so many middle halves away.
_CATEGORY = 1.0


@dataclass(frozen=True)
class CellDifference:
    """One column in which two rows differ, in words."""

    column: str
    value: str
    other: str


def spreads_of(records: Sequence[Record]) -> dict[str, float]:
    """How far the middle half of each column of numbers reaches; columns of anything else are left out."""
    spreads = {}
    for name in dict.fromkeys(name for record in records for name in record):
        values = [record[name] for record in records if record.get(name) is not None]
        if values and all(map(is_number, values)):
            low, high = np.quantile(np.array(values, np.float64), [0.25, 0.75])
            spreads[name] = float(high - low)
    return spreads


def differences(row: Record, other: Record, spreads: Mapping[str, float], most: int) -> list[CellDifference]:
    """The columns in which a row differs from another, the largest difference first.

    Args:
        row: as it came.
        other: to compare with.
        spreads: of the columns of numbers, as `spreads_of` gives them: the unit of a difference.
        most: how many columns at most.
    """
    sizes = {name: _difference(row[name], other.get(name), spreads.get(name, 0.0)) for name in row}
    order = sorted((name for name, size in sizes.items() if size > 0), key=lambda name: -sizes[name])
    return [CellDifference(name, cell_words(row[name]), cell_words(other.get(name))) for name in order[:most]]


def cell_words(value: Any) -> str:
    """A value as people read it."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return MISSING
    if is_number(value):
        return sensible(float(value))
    return category_name(value) if isinstance(value, bool) else str(value)


def _difference(value: Any, other: Any, spread: float) -> float:
    if is_number(value) and is_number(other):
        if cell_words(value) == cell_words(other):
            # Equal in the digits that are shown, such as a number that came through float32.
            return 0.0
        return abs(float(value) - float(other)) / spread if spread > 0 else _CATEGORY
    return 0.0 if cell_words(value) == cell_words(other) else _CATEGORY
