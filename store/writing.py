"""How predictions are written: in bulk, each once, with the tally of their minute in the same transaction.

PostgreSQL takes rows by COPY, SQLite by one executemany: neither builds an object per row.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError

from store.batches import COLUMNS, INPUT_COLUMNS, PredictionBatch
from store.clock import new_id
from store.tables import InputRow, LateMinuteRow, PredictionRow, TallyRow

# A prediction gets its time when it is computed. One that is written later than this may miss the window it belongs to.
LATE = timedelta(seconds=0.5)
MINUTE_SECONDS = 60
# SQLite takes at most 32,766 parameters in a statement.
IDS_PER_QUERY = 5_000
# Tallies are kept by process, so that gateways on one database never wait for each other's row.
_WRITER: UUID = new_id()
# Of the tables, not of their classes: the object-relational layer costs more per row than the database.
_PREDICTIONS, _INPUTS = PredictionRow.__table__, InputRow.__table__
_COPY_PREDICTIONS = f"COPY predictions ({', '.join(COLUMNS)}) FROM STDIN"
_COPY_INPUTS = f"COPY inputs ({', '.join(INPUT_COLUMNS)}) FROM STDIN"
_TAGS = COLUMNS.index("tags")
_INSERT_PREDICTIONS = insert(_PREDICTIONS)  # type: ignore[arg-type]
_INSERT_INPUTS = insert(_INPUTS)  # type: ignore[arg-type]


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
    ("count", "scored", "flagged", "confident", "confidence_sum"),
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
    fresh = [_unknown(connection, batch) if batch.repeatable else batch for batch in batches]
    fresh = [batch for batch in fresh if len(batch)]
    if not fresh:
        return 0
    rows = [row for batch in fresh for row in batch.rows()]
    inputs = [row for batch in fresh for row in batch.input_rows()]
    if connection.dialect.name == "sqlite":
        connection.execute(_INSERT_PREDICTIONS, [dict(zip(COLUMNS, row, strict=True)) for row in rows])
        if inputs:
            connection.execute(_INSERT_INPUTS, [dict(zip(INPUT_COLUMNS, row, strict=True)) for row in inputs])
    else:
        _copy(connection, _COPY_PREDICTIONS, [_with_json(row) for row in rows])
        if inputs:
            _copy(connection, _COPY_INPUTS, inputs)
    _tally(connection, fresh)
    _note_late(connection, fresh, now)
    return len(rows)


def _unknown(connection: Connection, batch: PredictionBatch) -> PredictionBatch:
    known: set[UUID] = set()
    for start in range(0, len(batch), IDS_PER_QUERY):
        part = batch.ids[start : start + IDS_PER_QUERY]
        known.update(connection.scalars(select(_PREDICTIONS.c.id).where(_PREDICTIONS.c.id.in_(part))))
    places, seen = [], set(known)
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
