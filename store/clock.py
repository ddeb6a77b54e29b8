"""Time and identity: UTC instants and time-ordered ids."""

import time
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

# Before every prediction.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def steady_seconds() -> float:
    """Seconds since an arbitrary instant, by a clock that is never set; on Linux it counts on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def new_id() -> UUID:
    """A fresh UUIDv7: unique, and later ids sort later."""
    return uuid7()
