"""PostgreSQL keeps predictions and their inputs in a partition for each day, so that a day is forgotten by dropping it.

The key is the id: a UUIDv7 begins with the millisecond it was made in, so that ranges of ids are ranges of time, and the
primary key, which must hold the partition key, is still the id alone. A row whose day has no partition lies in the
default one until its day is made.
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
    """Whether a table is one of the parts, which migrations leave alone."""
    return name is not None and any(name.startswith(f"{table}_") for table in TABLES)


def make_ahead(connection: Connection, now: datetime, days: int = DAYS_AHEAD) -> list[str]:
    """Make the partitions from yesterday on, where they are missing, and name them."""
    made = []
    today = now.astimezone(UTC).date()
    for table, key in TABLES.items():
        present = set(names(connection, table))
        covered = _oldest_bound(connection, table)
        for offset in range(-1, days + 1):
            day = today + timedelta(days=offset)
            name = _name(table, day)
            if name in present or (covered is not None and day < covered):
                continue
            _make(connection, table, key, day)
            made.append(name)
    return made


def names(connection: Connection, table: str) -> list[str]:
    """The partitions of a table, by name."""
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass) ORDER BY 1"
    return list(connection.scalars(text(query), {"table": table}))


def drop_before(connection: Connection, table: str, instant: datetime) -> list[str]:
    """Drop the partitions whose every row is older than an instant, and name them."""
    dropped = []
    for name, day in _days(connection, table):
        if _midnight(day + timedelta(days=1)) <= instant:
            connection.execute(text(f'DROP TABLE "{name}"'))
            dropped.append(name)
    return dropped


def _make(connection: Connection, table: str, key: str, day: date) -> None:
    name = _name(table, day)
    bounds = {"low": first_id(_midnight(day)), "high": first_id(_midnight(day + timedelta(days=1)))}
    connection.execute(text(f'CREATE TABLE "{name}" (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)'))
    # PostgreSQL refuses a partition while the default one holds rows of its range.
    moved = f"DELETE FROM {table}_default WHERE {key} >= :low AND {key} < :high RETURNING *"
    connection.execute(text(f'WITH moved AS ({moved}) INSERT INTO "{name}" SELECT * FROM moved'), bounds)
    range_ = f"FROM ('{bounds['low']}') TO ('{bounds['high']}')"
    connection.execute(text(f'ALTER TABLE {table} ATTACH PARTITION "{name}" FOR VALUES {range_}'))


def _days(connection: Connection, table: str) -> Iterator[tuple[str, date]]:
    for name in names(connection, table):
        suffix = name.removeprefix(f"{table}_")
        if suffix.isdigit():
            yield name, datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC).date()


def _oldest_bound(connection: Connection, table: str) -> date | None:
    """The first day that the partition of all that was there before partitions leaves free."""
    query = text("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = :name AND relispartition")
    bound = connection.scalar(query, {"name": f"{table}_before"})
    if bound is None:
        return None
    upper = UUID(str(bound).split("'")[-2])
    return datetime.fromtimestamp((upper.int >> 80) / 1_000, UTC).date()


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
