"""Predictions as another service sends them, parsed from JSON objects or an Arrow table into columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from store.errors import BadInput


@dataclass(frozen=True)
class IngestBatch:
    """n predictions as they were sent, by column.

    `embeddings` have shape `(n, d)`; `logits` `(n, c)`, needed where the reference was made with them. `ids` are those of
    the other service, by default new ones; `at` is when it predicted, by default the present instant; `predictions` are by
    default the classes with the highest logits.
    """

    embeddings: npt.NDArray[np.floating]
    logits: npt.NDArray[np.floating] | None = None
    predictions: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    at: Sequence[datetime] | None = None
    tags: Sequence[dict[str, Any] | None] | None = None


def parse_rows(rows: Sequence[Any]) -> IngestBatch:
    """Parse predictions sent as JSON objects.

    Raises:
        BadInput: a row is no object, lacks its embedding, or holds something else than it should; the field is named.
    """
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or "embedding" not in row:
            raise BadInput("Each prediction is an object with its embedding.", field=f"predictions[{index}].embedding")
    return IngestBatch(
        embeddings=_matrix_of_rows(rows, "embedding"),
        logits=_matrix_of_rows(rows, "logits") if rows and "logits" in rows[0] else None,
        predictions=_parse_column(rows, "prediction", _parse_text),
        ids=_parse_column(rows, "id", _parse_text),
        at=_parse_column(rows, "at", _parse_instant),
        tags=_parse_column(rows, "tags", _parse_tags),
    )


def parse_arrow_table(table: Any) -> IngestBatch:
    """Parse predictions sent as an Arrow table with the same columns; `embedding` and `logits` are lists of numbers.

    Raises:
        BadInput: a column is missing or of another type.
    """
    names = set(table.column_names)
    if "embedding" not in names:
        raise BadInput("The table has no column embedding.", field="embedding")

    def parse_column(name: str, parse: Any) -> list[Any] | None:
        return None if name not in names else [parse(value, name) for value in table.column(name).to_pylist()]

    return IngestBatch(
        embeddings=_matrix_of_column(table, "embedding"),
        logits=_matrix_of_column(table, "logits") if "logits" in names else None,
        predictions=parse_column("prediction", _parse_text),
        ids=parse_column("id", _parse_text),
        at=parse_column("at", _parse_instant),
        tags=parse_column("tags", _parse_tags),
    )


def _matrix_of_column(table: Any, name: str) -> npt.NDArray[np.floating]:
    try:
        column = table.column(name).combine_chunks()
        values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
        if column.null_count or len(column) == 0 or values.size % len(column):
            raise ValueError("the lists differ in length")
        lengths = np.asarray(column.value_lengths())
        if (lengths != lengths[0]).any():
            raise ValueError("the lists differ in length")
        return values.reshape(len(column), -1)
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"The column {name} must hold lists of numbers of one length: {error}.", field=name) from error


def _matrix_of_rows(rows: Sequence[dict[str, Any]], name: str) -> npt.NDArray[np.floating]:
    try:
        values = np.asarray([row.get(name) for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name) from error
    if rows and values.ndim != 2:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name)
    return values


def _parse_column(rows: Sequence[dict[str, Any]], name: str, parse: Any) -> list[Any] | None:
    if not any(name in row for row in rows):
        return None
    return [parse(row.get(name), f"predictions[{index}].{name}") for index, row in enumerate(rows)]


def _parse_text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 1_000:
        raise BadInput(f"{field} must be a text of 1 to 1,000 characters.", field=field)
    return value


def _parse_tags(value: Any, field: str) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"{field} must be an object.", field=field) from error
    if value is not None and not isinstance(value, dict):
        raise BadInput(f"{field} must be an object.", field=field)
    return value


def _parse_instant(value: Any, field: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{field} must be an instant such as 2026-11-24T08:00:00+00:00, and {value!r} came.", field=field
        ) from error
