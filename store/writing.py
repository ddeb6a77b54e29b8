"""How predictions are written: in bulk, each once, with the tally of their minute in the same transaction.

PostgreSQL takes rows by COPY, SQLite by one executemany: neither builds an object per row.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

from store.batches import COLUMNS, INPUT_COLUMNS, PredictionBatch
from store.clock import new_id
from store.tables import LateMinuteRow, PredictionRow, TallyRow

# A prediction gets its time when it is computed. One that is written later than this may miss the window it belongs to.
LATE = timedelta(seconds=0.5)
MINUTE_SECONDS = 60
# What a tally counts; all of it adds up.
TALLIED = ("count", "scored", "flagged", "confident", "confidence_sum")
# Tallies are kept by process, so that gateways on one database never wait for each other's row.
_WRITER: UUID = new_id()
# Of the table, not of its class: the object-relational layer costs more per row than the database.
_PREDICTIONS = PredictionRow.__table__
_COPY_PREDICTIONS = f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN"
_KNOWN_IN_SQLITE = "SELECT id FROM predictions WHERE id IN (SELECT value FROM json_each(?))"
_KNOWN_IN_POSTGRESQL = "SELECT id FROM predictions WHERE id = ANY(%s)"
_COPY_INPUTS = f"COPY inputs ({', '.join(INPUT_COLUMNS)}) FROM STDIN"
_TAGS = COLUMNS.index("tags")
_INSERT_PREDICTIONS = f"INSERT INTO predictions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_INSERT_INPUTS = f"INSERT INTO inputs ({', '.join(INPUT_COLUMNS)}) VALUES ({', '.join('?' * len(INPUT_COLUMNS))})"


def _adding(table: Any, key: Sequence[str], added: Sequence[str]) -> dict[str, Any]:
    """An insert, by dialect, that adds to the row that is there. Built once: building it costs more than running it."""
    found = {}
    for dialect, new in (("sqlite", sqlite_insert), ("postgresql", postgresql_insert)):
        statement: Any = new(table)
        sums = {name: table.c[name] + statement.excluded[name] for name in added}
        found[dialect] = statement.on_conflict_do_update(index_elements=key, set_=sums)
    return found


_ADD_TALLIES = _adding(
    TallyRow.__table__,
    ("model_sha256", "seconds", "start", "writer"),
    TALLIED,
)
_ADD_LATE = _adding(LateMinuteRow.__table__, ("model_sha256", "minute"), ("count",))


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


def write(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> int:
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
    rows = [row for batch in fresh for row in batch.rows()]
    inputs = [row for batch in fresh for row in batch.input_rows()]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_INSERT_PREDICTIONS, [_for_sqlite(row) for row in rows])
        if inputs:
            connection.exec_driver_sql(_INSERT_INPUTS, [(row[0].hex, _instant(row[1]), *row[2:]) for row in inputs])
    else:
        _copy(connection, _COPY_PREDICTIONS, [_with_json(row) for row in rows])
        if inputs:
            _copy(connection, _COPY_INPUTS, inputs)
    _tally(connection, fresh)
    _note_late(connection, fresh, now)
    return len(rows)


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


def _copy(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error, dialect=connection.dialect) from error


def _for_sqlite(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as the types of `store.tables` are kept in SQLite; asking each type for each value costs more than the
    insert."""
    id_, model_sha256, at, *numbers, tags, mirrors_id, embedding, logits = row
    return (
        id_.hex,
        model_sha256,
        _instant(at),
        *numbers,
        None if tags is None else orjson.dumps(tags).decode(),
        None if mirrors_id is None else mirrors_id.hex,
        embedding,
        logits,
    )


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(sep=" ", timespec="microseconds")[:26]


def _with_json(row: tuple[Any, ...]) -> tuple[Any, ...]:
    if row[_TAGS] is None:
        return row
    return (*row[:_TAGS], orjson.dumps(row[_TAGS]).decode(), *row[_TAGS + 1 :])


def _tally(connection: Connection, batches: Sequence[PredictionBatch]) -> None:
    sums: dict[tuple[str, datetime], _Sum] = defaultdict(_Sum)
    for batch in batches:
        for at, flagged, confidence in zip(batch.at, batch.flagged, batch.confidences, strict=True):
            sums[batch.model_sha256, at.replace(second=0, microsecond=0)].add(flagged, confidence)
    add_tallies(connection, _values(sums))


def _values(sums: dict[tuple[str, datetime], _Sum]) -> list[dict[str, Any]]:
    return [
        {"model_sha256": model_sha256, "seconds": MINUTE_SECONDS, "start": start, "writer": _WRITER, **vars(one)}
        # In one order, so that two gateways never wait for each other.
        for (model_sha256, start), one in sorted(sums.items())
    ]


def add_tallies(connection: Connection, values: Sequence[dict[str, Any]]) -> None:
    """Add to tallies, which begin at nothing."""
    if not values:
        return
    connection.execute(_ADD_TALLIES[connection.dialect.name], list(values))


def recount(connection: Connection) -> int:
    """Count every prediction again, by the minute, and say of how many models. Tallies of what is forgotten stay."""
    oldest = connection.execute(
        select(_PREDICTIONS.c.model_sha256, func.min(_PREDICTIONS.c.at)).group_by(_PREDICTIONS.c.model_sha256)
    ).all()
    tallies = TallyRow.__table__
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
        add_tallies(connection, _values(sums))
    return len(oldest)


def _note_late(connection: Connection, batches: Sequence[PredictionBatch], now: datetime) -> None:
    late: dict[tuple[str, datetime], int] = defaultdict(int)
    for batch in batches:
        for at in batch.at:
            if now - at > LATE:
                late[batch.model_sha256, at.replace(second=0, microsecond=0)] += 1
    if not late:
        return
    connection.execute(
        _ADD_LATE[connection.dialect.name],
        [
            {"model_sha256": model_sha256, "minute": minute, "count": count}
            # In one order, so that two gateways never wait for each other.
            for (model_sha256, minute), count in sorted(late.items())
        ],
    )
