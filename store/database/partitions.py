"""Partitions by day of predictions and their inputs on PostgreSQL, so that an old day is deleted by dropping a table.

The partition key is the id: a UUIDv7 begins with the millisecond it was made in, so ranges of ids are ranges of time, and
the primary key, which PostgreSQL requires to contain the partition key, is still the id alone. A row whose day has no
partition yet goes to the default partition, and moves when its day's partition is made.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

TABLES = {"predictions": "id", "inputs": "prediction_id"}
DAYS_AHEAD = 7


def first_id(instant: datetime) -> UUID:
    """The smallest UUIDv7 of an instant."""
    return UUID(int=int(instant.timestamp() * 1_000) << 80)


def is_partition(name: str | None) -> bool:
    """Whether a table is a partition, which migrations leave alone."""
    return name is not None and any(name.startswith(f"{table}_") for table in TABLES)


def make_ahead(connection: Connection, now: datetime, days: int = DAYS_AHEAD) -> list[str]:
    """Make the missing partitions from yesterday to `days` ahead, and return their names."""
    created = []
    today = now.astimezone(UTC).date()
    for table, key in TABLES.items():
        existing = set(partition_names(connection, table))
        first_free_day = _first_day_after_oldest(connection, table)
        for offset in range(-1, days + 1):
            day = today + timedelta(days=offset)
            name = _partition_name(table, day)
            if name in existing or (first_free_day is not None and day < first_free_day):
                continue
            _make_partition(connection, table, key, day)
            created.append(name)
    return created


def partition_names(connection: Connection, table: str) -> list[str]:
    """The names of a table's partitions, sorted."""
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
    return list(connection.scalars(text(query), {"table": table}))


def drop_before(connection: Connection, table: str, instant: datetime) -> list[str]:
    """Drop the partitions whose rows are all older than an instant, and return their names."""
    dropped = []
    for name, day in _partitions_by_day(connection, table):
        if _midnight(day + timedelta(days=1)) <= instant:
            connection.execute(text(f'DROP TABLE "{name}"'))
            dropped.append(name)
    return dropped


def _make_partition(connection: Connection, table: str, key: str, day: date) -> None:
    name = _partition_name(table, day)
    bounds = {"low": first_id(_midnight(day)), "high": first_id(_midnight(day + timedelta(days=1)))}
    connection.execute(text(f'CREATE TABLE "{name}" (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'))
    # PostgreSQL refuses a partition while the default one holds rows of its range.
    delete = f"DELETE FROM {table}_default WHERE {key} >= :low AND {key} < :high RETURNING *"
    connection.execute(text(f'WITH moved AS ({delete}) INSERT INTO "{name}" SELECT * FROM moved'), bounds)
    values = f"FROM ('{bounds['low']}') TO ('{bounds['high']}')"
    connection.execute(text(f'ALTER TABLE {table} ATTACH PARTITION "{name}" FOR VALUES {values}'))


def _partitions_by_day(connection: Connection, table: str) -> Iterator[tuple[str, date]]:
    for name in partition_names(connection, table):
        suffix = name.removeprefix(f"{table}_")
        if suffix.isdigit():
            yield name, datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC).date()


def _first_day_after_oldest(connection: Connection, table: str) -> date | None:
    """The first day after the oldest partition, which holds all rows from before the table was partitioned; None if there
    is no such partition."""
    query = text("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = :name AND relispartition")
    bound = connection.scalar(query, {"name": f"{table}_before"})
    if bound is None:
        return None
    upper = UUID(str(bound).split("'")[-2])
    return datetime.fromtimestamp((upper.int >> 80) / 1_000, UTC).date()


def _partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
