"""Recorded inputs as columns: the rows of a table as they came, and the length of a text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from store.recording.prediction_batch import RawInput

Record = Mapping[str, Any]
# The applications whose inputs are rows of a table.
TABLES = ("tabular", "collab")
# The one column of a text.
WORDS = "length of the text in words"


@dataclass(frozen=True)
class TableColumn:
    """One column on both sides, row by row; None where a row has no value.

    `is_numeric` where all its values are numbers: anything else, such as true and false or a date, is a category.
    """

    name: str
    is_numeric: bool
    training: list[Any]
    window: list[Any]


def record_of(raw: RawInput) -> dict[str, Any]:
    """An input as columns; empty for a picture, and for anything else that has none."""
    if raw.media_type == "text/plain":
        return {WORDS: len(raw.content.decode(errors="replace").split())}
    if raw.media_type != "application/json":
        return {}
    row = orjson.loads(raw.content)
    return row if isinstance(row, dict) else {}


def records_of(raw_inputs: Iterable[RawInput]) -> list[dict[str, Any]]:
    """The inputs that have columns."""
    records = (record_of(raw) for raw in raw_inputs)
    return [record for record in records if record]


def shared_columns(
    training: Sequence[Record], window: Sequence[Record], categories: Mapping[str, Sequence[Any]]
) -> list[TableColumn]:
    """The columns that both sides have, in the order of training.

    Args:
        training: rows of training.
        window: rows of production.
        categories: the values that the learner knows of its columns of categories, by column. A column of numbers that
            is here, such as a postal code, is one of categories.
    """
    in_window = {name for row in window for name in row}
    names = [name for name in dict.fromkeys(name for row in training for name in row) if name in in_window]
    columns = []
    for name in names:
        sides = [[_plain(row.get(name)) for row in rows] for rows in (training, window)]
        present = [value for side in sides for value in side if value is not None]
        is_numeric = name not in categories and bool(present) and all(map(is_number, present))
        columns.append(TableColumn(name, is_numeric, *sides))
    return columns


def category_name(value: Any) -> str:
    """A category as people see it: texts in quotes, whole numbers without a point."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)
    return repr(str(value))


def _plain(value: Any) -> Any:
    """A value, or None for each way of saying that there is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
