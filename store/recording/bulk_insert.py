"""How predictions are written: in bulk, each once, with the tally of their minute in the same transaction.

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
from store.recording.batches import COLUMNS, INPUT_COLUMNS, PredictionBatch

_ATTEMPTS = 5
# A prediction gets its time when it is computed. One that is written later than this may miss the window it belongs to.
LATE = timedelta(seconds=0.5)
# What a tally counts; all of it adds up.
COUNTED = ("count", "scored", "flagged", "confident", "confidence_sum")
# Tallies are kept by process, so that gateways on one database never wait for each other's row.
_WRITER: UUID = new_id()
# Of the table, not of its class: the object-relational layer costs more per row than the database.
_PREDICTIONS = PredictionRow.__table__
_TALLY = ("model_sha256", "seconds", "start", "writer", *COUNTED)
_LATE_MINUTE = ("model_sha256", "minute", "count")
_KNOWN_IN_SQLITE = "SELECT id FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
_KNOWN_IN_POSTGRESQL = "SELECT id FROM predictions WHERE id = ANY(%s)"


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _adding(table: str, columns: Sequence[str], added: Sequence[str]) -> str:
    """An insert that adds to the row that is there."""
    key = [name for name in columns if name not in added]
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in added)
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"


# As text, for the driver itself: a statement of the object-relational layer takes longer to prepare than to run.
_INSERT = {"predictions": _insert("predictions", COLUMNS), "inputs": _insert("inputs", INPUT_COLUMNS)}
_COPY = {
    "predictions": f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN",
    "inputs": f"COPY inputs ({', '.join(INPUT_COLUMNS)}) FROM STDIN",
}
_ADD_TALLIES = _adding("tallies", _TALLY, COUNTED)
_ADD_LATE = _adding("late_minutes", _LATE_MINUTE, ("count",))


@dataclass
class _Sum:
    """Of one minute of one model."""

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
            repeated = any(batch.repeatable for batch in batches) and isinstance(error.__cause__, IntegrityError)
            if not repeated or attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def insert_batches(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> int:
    """Write batches in the caller's transaction.

    Args:
        connection: in a transaction.
        batches: those that are repeatable may hold rows that are recorded already; these are left out.
        now: by the database's clock; rows much older are noted as late.

    Returns:
        How many rows were new.
    """
    seen: set[UUID] = set()
    fresh = [_unknown(connection, batch, seen) if batch.repeatable else batch for batch in batches]
    fresh = [batch for batch in fresh if len(batch)]
    if not fresh:
        return 0
    for batch in fresh:
        _insert_rows(connection, "predictions", COLUMNS, batch.columns())
        _insert_rows(connection, "inputs", INPUT_COLUMNS, batch.input_columns())
    _tally(connection, fresh)
    _note_late(connection, fresh, now)
    return sum(map(len, fresh))


def _unknown(connection: Connection, batch: PredictionBatch, seen: set[UUID]) -> PredictionBatch:
    """The rows that are neither recorded nor seen in this call; they are seen from now on."""
    # One parameter for all of them: a list of thousands takes longer to write into the statement than to look up.
    if connection.dialect.name == "sqlite":
        given = orjson.dumps([id_.hex for id_ in batch.ids]).decode()
        found = connection.exec_driver_sql(_KNOWN_IN_SQLITE, (given,))
        seen.update(UUID(text) for (text,) in found)
    else:
        seen.update(id_ for (id_,) in connection.exec_driver_sql(_KNOWN_IN_POSTGRESQL, (batch.ids,)))
    places = []
    for place, id_ in enumerate(batch.ids):
        if id_ not in seen:
            seen.add(id_)
            places.append(place)
    return batch if len(places) == len(batch) else batch.take(places)


def _insert_rows(connection: Connection, table: str, names: Sequence[str], columns: Sequence[Iterable[Any]]) -> None:
    if not columns:
        return
    if connection.dialect.name == "sqlite":
        _execute(connection, _INSERT[table], list(_for_sqlite(names, columns)))
        return
    driver: Any = connection.connection.driver_connection
    as_json = [_json_or_none(column) if name == "tags" else column for name, column in zip(names, columns, strict=True)]
    with _driver_errors(connection, _COPY[table]), driver.cursor() as cursor, cursor.copy(_COPY[table]) as copy:
        for row in zip(*as_json, strict=True):
            copy.write_row(row)


def _execute(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement for rows by the driver itself; on PostgreSQL its marks are spelt differently."""
    driver: Any = connection.connection.driver_connection
    with _driver_errors(connection, statement):
        if connection.dialect.name == "sqlite":
            driver.executemany(statement, rows)
        else:
            with driver.cursor() as cursor:
                cursor.executemany(statement.replace("?", "%s"), rows)


@contextmanager
def _driver_errors(connection: Connection, statement: str) -> Iterator[None]:
    """The driver's errors as SQLAlchemy's own, which say what they are whatever the driver."""
    error_of: Any = connection.dialect.loaded_dbapi.Error
    try:
        yield
    except error_of as error:
        raise DBAPIError.instance(statement, None, error, error_of, dialect=connection.dialect) from error


def _for_sqlite(names: Sequence[str], columns: Sequence[Iterable[Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows as the types of `store.database.tables` are kept in SQLite; asking each type for each value costs more than the
    insert."""
    kept = [
        _KEPT_IN_SQLITE[name](column) if name in _KEPT_IN_SQLITE else column
        for name, column in zip(names, columns, strict=True)
    ]
    return zip(*kept, strict=True)


def _hex_or_none(ids: Iterable[UUID | None]) -> list[str | None]:
    return [None if id_ is None else id_.hex for id_ in ids]


def _json_or_none(values: Iterable[Any]) -> list[str | None]:
    return [None if value is None else orjson.dumps(value).decode() for value in values]


def _instants(instants: Iterable[datetime]) -> list[str]:
    # Rows of one micro-batch share their instant.
    given = list(instants)
    texts = {at: at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")[:26] for at in set(given)}
    return [texts[at] for at in given]


_KEPT_IN_SQLITE: dict[str, Callable[[Iterable[Any]], list[Any]]] = {
    "id": _hex_or_none,
    "prediction_id": _hex_or_none,
    "mirrors_id": _hex_or_none,
    "writer": _hex_or_none,
    "at": _instants,
    "start": _instants,
    "minute": _instants,
    "tags": _json_or_none,
}


def _tally(connection: Connection, batches: Sequence[PredictionBatch]) -> None:
    sums: dict[tuple[str, datetime], _Sum] = defaultdict(_Sum)
    for batch in batches:
        for at, flagged, confidence in zip(_minutes(batch.at), batch.flagged, batch.confidences, strict=True):
            sums[batch.model_sha256, at].add(flagged, confidence)
    add_to_counters(connection, _values(sums))


def _minutes(instants: Sequence[datetime]) -> list[datetime]:
    """The minutes of instants; those of one micro-batch are one instant."""
    found: dict[datetime, datetime] = {at: at.replace(second=0, microsecond=0) for at in set(instants)}
    return [found[at] for at in instants]


def _values(sums: dict[tuple[str, datetime], _Sum]) -> list[dict[str, Any]]:
    return [
        {"model_sha256": model_sha256, "seconds": MINUTE_SECONDS, "start": start, "writer": _WRITER, **vars(one)}
        for (model_sha256, start), one in sums.items()
    ]


def add_to_counters(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    """Add to tallies, which begin at nothing."""
    _add(connection, _ADD_TALLIES, _TALLY, [tuple(value[name] for name in _TALLY) for value in values])


def _add(connection: Connection, statement: str, names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    # In one order, so that two gateways never wait for each other.
    ordered = sorted(rows)
    if connection.dialect.name == "sqlite":
        ordered = list(_for_sqlite(names, list(zip(*ordered, strict=True))))
    _execute(connection, statement, ordered)


def recount(connection: Connection) -> int:
    """Count every prediction again, by the minute, and say of how many models. Tallies of what is forgotten stay."""
    oldest = connection.execute(
        select(_PREDICTIONS.c.model_sha256, func.min(_PREDICTIONS.c.at)).group_by(_PREDICTIONS.c.model_sha256)
    ).all()
    tallies = CounterRow.__table__
    columns = _PREDICTIONS.c
    for model_sha256, first in oldest:
        # From the next whole day on: the first one may be forgotten in part.
        since = first.replace(hour=0, minute=0, second=0, microsecond=0)
        connection.execute(
            delete(tallies).where(tallies.c.model_sha256 == model_sha256, tallies.c.start >= since)  # type: ignore[arg-type]
        )
        rows = connection.execute(
            select(columns.at, columns.flagged, columns.confidence).where(columns.model_sha256 == model_sha256),
            execution_options={"yield_per": 5_000},
        )
        sums: dict[tuple[str, datetime], _Sum] = defaultdict(_Sum)
        for at, flagged, confidence in rows:
            sums[model_sha256, at.replace(second=0, microsecond=0)].add(flagged, confidence)
        add_to_counters(connection, _values(sums))
    return len(oldest)


def _note_late(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> None:
    late: dict[tuple[str, datetime], int] = defaultdict(int)
    for batch in batches:
        for at, minute in zip(batch.at, _minutes(batch.at), strict=True):
            if now - at > LATE:
                late[batch.model_sha256, minute] += 1
    _add(connection, _ADD_LATE, _LATE_MINUTE, [(*key, count) for key, count in late.items()])
