"""Predictions as another service sends them: JSON objects or an Arrow table, read into columns."""

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

    `embeddings` `(n, d)`; `logits` `(n, c)` where the reference was made with them. `ids` are those of the other service,
    `at` when it predicted, both by default fresh; `predictions` by default what the logits say.
    """

    embeddings: npt.NDArray[np.floating]
    logits: npt.NDArray[np.floating] | None = None
    predictions: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    at: Sequence[datetime] | None = None
    tags: Sequence[dict[str, Any] | None] | None = None


def batch_of_rows(rows: Sequence[Any]) -> IngestBatch:
    """Predictions sent as JSON objects.

    Raises:
        BadInput: a row is no object, lacks its embedding, or holds something else than it should; the field is named.
    """
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or "embedding" not in row:
            raise BadInput("Each prediction is an object with its embedding.", field=f"predictions[{place}].embedding")
    return IngestBatch(
        embeddings=_vectors(rows, "embedding"),
        logits=_vectors(rows, "logits") if rows and "logits" in rows[0] else None,
        predictions=_column(rows, "prediction", _text),
        ids=_column(rows, "id", _text),
        at=_column(rows, "at", _instant),
        tags=_column(rows, "tags", _tags),
    )


def batch_of_arrow(table: Any) -> IngestBatch:
    """Predictions as an Arrow table with the same columns: `embedding` and `logits` as lists of numbers.

    Raises:
        BadInput: a column is missing or of another type.
    """
    names = set(table.column_names)
    if "embedding" not in names:
        raise BadInput("The table has no column embedding.", field="embedding")
    rows: dict[str, list[Any]] = {
        name: table.column(name).to_pylist() for name in names & {"prediction", "id", "at", "tags"}
    }
    return IngestBatch(
        embeddings=_matrix(table, "embedding"),
        logits=_matrix(table, "logits") if "logits" in names else None,
        predictions=None if "prediction" not in rows else [_text(value, "prediction") for value in rows["prediction"]],
        ids=None if "id" not in rows else [_text(value, "id") for value in rows["id"]],
        at=None if "at" not in rows else [_instant(value, "at") for value in rows["at"]],
        tags=None if "tags" not in rows else [_tags(value, "tags") for value in rows["tags"]],
    )


def _matrix(table: Any, name: str) -> npt.NDArray[np.floating]:
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


def _vectors(rows: Sequence[dict[str, Any]], name: str) -> npt.NDArray[np.floating]:
    try:
        values = np.asarray([row.get(name) for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name) from error
    if rows and values.ndim != 2:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name)
    return values


def _column(rows: Sequence[dict[str, Any]], name: str, read: Any) -> list[Any] | None:
    if not any(name in row for row in rows):
        return None
    return [read(row.get(name), f"predictions[{place}].{name}") for place, row in enumerate(rows)]


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 1_000:
        raise BadInput(f"{field} must be a text of 1 to 1,000 characters.", field=field)
    return value


def _tags(value: Any, field: str) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"{field} must be an object.", field=field) from error
    if value is not None and not isinstance(value, dict):
        raise BadInput(f"{field} must be an object.", field=field)
    return value


def _instant(value: Any, field: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{field} must be an instant such as 2026-11-24T08:00:00+00:00, and {value!r} came.", field=field
        ) from error
