"""Bulk insert of predictions: each is written once, and counted by its minute in the same transaction.

PostgreSQL takes rows by COPY, SQLite by one executemany: neither builds an object per row.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import CounterRow, PredictionRow
from store.database.time_buckets import MINUTE_SECONDS
from store.errors import StoreUnavailable
from store.recording.prediction_batch import COLUMNS, INPUT_COLUMNS, PredictionBatch

_ATTEMPTS = 5
# A prediction gets its time when it is computed. One that is written later than this may miss the window it belongs in.
LATE = timedelta(seconds=0.5)
# The columns of a counter that are sums.
COUNTED = ("count", "scored", "flagged", "confident", "confidence_sum")
# Each process has counters of its own, so that gateways on one database never wait for each other's row.
_WRITER: UUID = new_id()
# The table, not its class: the object-relational layer costs more per row than the database.
_PREDICTIONS = PredictionRow.__table__
_COUNTER_COLUMNS = ("model_sha256", "seconds", "start", "writer", *COUNTED)
_LATE_COLUMNS = ("model_sha256", "minute", "count")
_RECORDED_IDS_SQLITE = "SELECT id FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
_RECORDED_IDS_POSTGRESQL = "SELECT id FROM predictions WHERE id = ANY(%s)"


def _insert_statement(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _upsert_statement(table: str, columns: Sequence[str], summed: Sequence[str]) -> str:
    """An insert that, where a row with the same key exists, adds the summed columns to it."""
    key = [name for name in columns if name not in summed]
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in summed)
    return f"{_insert_statement(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"


# Text for the driver itself: SQLAlchemy takes longer to prepare a statement than the database to run it.
_INSERT = {
    "predictions": _insert_statement("predictions", COLUMNS),
    "inputs": _insert_statement("inputs", INPUT_COLUMNS),
}
_COPY = {
    "predictions": f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN",
    "inputs": f"COPY inputs ({', '.join(INPUT_COLUMNS)}) FROM STDIN",
}
_ADD_TO_COUNTERS = _upsert_statement("tallies", _COUNTER_COLUMNS, COUNTED)
_ADD_LATE = _upsert_statement("late_minutes", _LATE_COLUMNS, ("count",))


@dataclass
class _Counts:
    """Counts of one model's predictions in one minute."""

    count: int = 0
    scored: int = 0
    flagged: int = 0
    confident: int = 0
    confidence_sum: float = 0.0

    def add(self, flagged: bool | None, confidence: float | None) -> None:
        self.count += 1
        if flagged is not None:
            self.scored += 1
            self.flagged += flagged
        if confidence is not None and not isnan(confidence):
            self.confident += 1
            self.confidence_sum += confidence


def record_batches(database: Database, batches: Sequence[PredictionBatch]) -> None:
    """Write batches in one transaction; durable when this returns.

    Raises:
        StoreUnavailable: nothing was written.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with database.writing_rows() as connection:
                insert_batches(connection, batches, database.utc_now())
        except StoreUnavailable as error:
            # Another gateway wrote one of the repeated rows at this instant: look again which are new.
            is_race = any(batch.repeatable for batch in batches) and isinstance(error.__cause__, IntegrityError)
            if not is_race or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def insert_batches(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> int:
    """Write batches in the caller's transaction.

    Args:
        connection: in a transaction.
        batches: rows of repeatable ones that are recorded already are left out.
        now: by the database's clock; rows that are `LATE` are counted as late arrivals.

    Returns:
        How many rows were new.
    """
    recorded: set[UUID] = set()
    new = [_without_recorded(connection, batch, recorded) if batch.repeatable else batch for batch in batches]
    new = [batch for batch in new if len(batch)]
    if not new:
        return 0
    for batch in new:
        _insert_rows(connection, "predictions", COLUMNS, batch.columns())
        _insert_rows(connection, "inputs", INPUT_COLUMNS, batch.input_columns())
    _count_by_minute(connection, new)
    _count_late_arrivals(connection, new, now)
    return sum(map(len, new))


def _without_recorded(connection: Connection, batch: PredictionBatch, recorded: set[UUID]) -> PredictionBatch:
    """The rows whose ids are neither in the database nor in `recorded`. All ids of the batch are added to `recorded`."""
    # One parameter for all ids: a list of thousands takes longer to write into the statement than to look up.
    if connection.dialect.name == "sqlite":
        ids = orjson.dumps([id_.hex for id_ in batch.ids]).decode()
        matches = connection.exec_driver_sql(_RECORDED_IDS_SQLITE, (ids,))
        recorded.update(UUID(text) for (text,) in matches)
    else:
        recorded.update(id_ for (id_,) in connection.exec_driver_sql(_RECORDED_IDS_POSTGRESQL, (batch.ids,)))
    new_rows = []
    for index, id_ in enumerate(batch.ids):
        if id_ not in recorded:
            recorded.add(id_)
            new_rows.append(index)
    return batch if len(new_rows) == len(batch) else batch.take(new_rows)


def _insert_rows(connection: Connection, table: str, names: Sequence[str], columns: Sequence[Iterable[Any]]) -> None:
    if not columns:
        return
    if connection.dialect.name == "sqlite":
        _execute(connection, _INSERT[table], list(_encode_for_sqlite(names, columns)))
        return
    driver: Any = connection.connection.driver_connection
    encoded = [_json_or_none(column) if name == "tags" else column for name, column in zip(names, columns, strict=True)]
    with _driver_errors(connection, _COPY[table]), driver.cursor() as cursor, cursor.copy(_COPY[table]) as copy:
        for row in zip(*encoded, strict=True):
            copy.write_row(row)


def _execute(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement for each row by the driver itself. Placeholders are `?`, as for SQLite."""
    driver: Any = connection.connection.driver_connection
    with _driver_errors(connection, statement):
        if connection.dialect.name == "sqlite":
            driver.executemany(statement, rows)
        else:
            with driver.cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)


@contextmanager
def _driver_errors(connection: Connection, statement: str) -> Iterator[None]:
    """Raise the driver's errors as SQLAlchemy's, which are the same for every driver."""
    driver_error: Any = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except driver_error as error:
        raise DBAPIError.instance(statement, None, error, driver_error, dialect=connection.dialect) from error


def _encode_for_sqlite(names: Sequence[str], columns: Sequence[Iterable[Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows, encoded as SQLAlchemy encodes the types of `store.database.tables` for SQLite. Its encoding of each value by
    itself takes longer than the insert."""
    encoded = [
        _SQLITE_ENCODERS[name](column) if name in _SQLITE_ENCODERS else column
        for name, column in zip(names, columns, strict=True)
    ]
    return zip(*encoded, strict=True)


def _hex_or_none(ids: Iterable[UUID | None]) -> list[str | None]:
    return [None if id_ is None else id_.hex for id_ in ids]


def _json_or_none(values: Iterable[Any]) -> list[str | None]:
    return [None if value is None else orjson.dumps(value).decode() for value in values]


def _instant_texts(instants: Iterable[datetime]) -> list[str]:
    rows = list(instants)
    # Rows of one micro-batch share their instant.
    texts = {at: at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")[:26] for at in set(rows)}
    return [texts[at] for at in rows]


_SQLITE_ENCODERS: dict[str, Callable[[Iterable[Any]], list[Any]]] = {
    "id": _hex_or_none,
    "prediction_id": _hex_or_none,
    "mirrors_id": _hex_or_none,
    "writer": _hex_or_none,
    "at": _instant_texts,
    "start": _instant_texts,
    "minute": _instant_texts,
    "tags": _json_or_none,
}


def _count_by_minute(connection: Connection, batches: Sequence[PredictionBatch]) -> None:
    counts: dict[tuple[str, datetime], _Counts] = defaultdict(_Counts)
    for batch in batches:
        for at, flagged, confidence in zip(_minutes(batch.at), batch.flagged, batch.confidences, strict=True):
            counts[batch.model_sha256, at].add(flagged, confidence)
    add_to_counters(connection, _counter_values(counts))


def _minutes(instants: Sequence[datetime]) -> list[datetime]:
    """The minute of each instant. Rows of one micro-batch share their instant."""
    minutes = {at: at.replace(second=0, microsecond=0) for at in set(instants)}
    return [minutes[at] for at in instants]


def _counter_values(counts: dict[tuple[str, datetime], _Counts]) -> list[dict[str, Any]]:
    return [
        {"model_sha256": model_sha256, "seconds": MINUTE_SECONDS, "start": start, "writer": _WRITER, **vars(minute)}
        for (model_sha256, start), minute in counts.items()
    ]


def add_to_counters(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    """Add to counters; those that do not exist yet are made. Each value has the columns of the table `tallies`."""
    rows = [tuple(value[name] for name in _COUNTER_COLUMNS) for value in values]
    _upsert(connection, _ADD_TO_COUNTERS, _COUNTER_COLUMNS, rows)


def _upsert(connection: Connection, statement: str, names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    # Always in the same order, so that two gateways never deadlock.
    ordered = sorted(rows)
    if connection.dialect.name == "sqlite":
        ordered = list(_encode_for_sqlite(names, list(zip(*ordered, strict=True))))
    _execute(connection, statement, ordered)


def recount(connection: Connection) -> int:
    """Count every prediction again by the minute, and return for how many models. Counters of deleted predictions stay."""
    first_instants = connection.execute(
        select(_PREDICTIONS.c.model_sha256, func.min(_PREDICTIONS.c.at)).group_by(_PREDICTIONS.c.model_sha256)
    ).all()
    counters = CounterRow.__table__
    columns = _PREDICTIONS.c
    for model_sha256, first in first_instants:
        # Counters of days before the first prediction count deleted predictions, and stay.
        since = first.replace(hour=0, minute=0, second=0, microsecond=0)
        connection.execute(
            delete(counters).where(counters.c.model_sha256 == model_sha256, counters.c.start >= since)  # type: ignore[arg-type]
        )
        rows = connection.execute(
            select(columns.at, columns.flagged, columns.confidence).where(columns.model_sha256 == model_sha256),
            execution_options={"yield_per": 5_000},
        )
        counts: dict[tuple[str, datetime], _Counts] = defaultdict(_Counts)
        for at, flagged, confidence in rows:
            counts[model_sha256, at.replace(second=0, microsecond=0)].add(flagged, confidence)
        add_to_counters(connection, _counter_values(counts))
    return len(first_instants)


def _count_late_arrivals(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> None:
    late: dict[tuple[str, datetime], int] = defaultdict(int)
    for batch in batches:
        for at, minute in zip(batch.at, _minutes(batch.at), strict=True):
            if now - at > LATE:
                late[batch.model_sha256, minute] += 1
    _upsert(connection, _ADD_LATE, _LATE_COLUMNS, [(*key, count) for key, count in late.items()])
