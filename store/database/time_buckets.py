"""Time buckets that counts and rollups are kept by: minutes, hours and days; and which rows go into wider ones."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from store.clock import EPOCH
from store.database.engine import Database

MINUTE_SECONDS, HOUR_SECONDS, DAY_SECONDS = 60, 3_600, 86_400
# The writer of rows that were rolled up.
ROLLED_UP_WRITER = UUID(int=0)


def bucket_start(instant: datetime, seconds: int) -> datetime:
    """The start of the bucket, `seconds` wide, that an instant lies in."""
    width = timedelta(seconds=seconds)
    return EPOCH + (instant - EPOCH) // width * width


def due_for_roll_up(table: Any, finer: int, wider: int, before: datetime) -> tuple[ColumnElement[bool], ...]:
    """The condition for rows of width `finer` to be rolled up: their whole bucket of width `wider` lies before an instant.

    A part of a wide bucket is left alone, as the rest of it is still to come.
    """
    return table.seconds == finer, table.start < bucket_start(before, wider)


def lock_rows(database: Database, session: Session, query: Any) -> list[Any]:
    """Lock and return the rows of a query; those that another monitor has locked are left out, not waited for."""
    if not database.is_sqlite:
        query = query.with_for_update(skip_locked=True)
    return list(session.scalars(query))
