"""Stretches of time that sums are kept by: minutes, hours, days; and which become wider."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from store.database.engine import Database

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3_600, 86_400
# The writer of what was rolled up.
ROLLED_UP_WRITER = UUID(int=0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bucket_start(instant: datetime, seconds: int) -> datetime:
    """The start of the stretch of so many seconds that an instant lies in."""
    width = timedelta(seconds=seconds)
    return _EPOCH + (instant - _EPOCH) // width * width


def is_old(table: Any, finer: int, wider: int, before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Rows of one width that belong into whole stretches of the next; a part of one would come again."""
    return table.seconds == finer, table.start < bucket_start(before, wider)


def locked(database: Database, session: Session, query: Any) -> list[Any]:
    """Rows to be rolled up, without waiting for another monitor that has them."""
    if not database.is_sqlite:
        query = query.with_for_update(skip_locked=True)
    return list(session.scalars(query))
