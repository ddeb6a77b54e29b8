"""How much was predicted when, without reading the predictions: tallies that were written with them, and add up.

A stretch of time is counted by one width only: rolling minutes up into hours, and hours into days, takes the finer
ones away in the same transaction.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import CounterRow
from store.database.time_buckets import (
    DAY_SECONDS,
    HOUR_SECONDS,
    MINUTE_SECONDS,
    ROLLED_UP_WRITER,
    bucket_start,
    is_old,
    locked,
)
from store.recording.bulk_insert import COUNTED, add_to_counters

# How old tallies are when the next wider ones take their place.
MINUTES_ARE_KEPT, HOURS_ARE_KEPT = timedelta(days=3), timedelta(days=60)
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Totals:
    """Predictions of one model: how many, how many of them flagged and their share of those scored, mean confidence."""

    count: int
    flagged: int
    flagged_share: float | None
    mean_confidence: float | None


class CounterRepository:
    """Every tally."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def total(self, model_sha256: str, since: datetime | None = None) -> Totals:
        """What one model predicted so far, or in the minutes from an instant on."""
        query = select(
            func.coalesce(func.sum(CounterRow.count), 0),
            func.coalesce(func.sum(CounterRow.scored), 0),
            func.coalesce(func.sum(CounterRow.flagged), 0),
            func.coalesce(func.sum(CounterRow.confident), 0),
            func.coalesce(func.sum(CounterRow.confidence_sum), 0.0),
        ).where(CounterRow.model_sha256 == model_sha256)
        if since is not None:
            query = query.where(CounterRow.start >= since)
        with self._database.reading() as session:
            count, scored, flagged, confident, confidence = session.execute(query).one()
        return Totals(
            int(count),
            int(flagged),
            float(flagged) / int(scored) if scored else None,
            float(confidence) / int(confident) if confident else None,
        )

    def per_day(self, model_sha256: str, until: datetime, days: float = 7.0) -> float:
        """How many predictions a day brings, by the last days; those of less than a day count as a day's."""
        query = select(func.sum(CounterRow.count), func.min(CounterRow.start)).where(
            CounterRow.model_sha256 == model_sha256,
            CounterRow.start > until - timedelta(days=days),
            CounterRow.start <= until,
        )
        with self._database.reading() as session:
            total, first = session.execute(query).one()
        if not total:
            return 0.0
        return float(int(total) / max((until - first) / timedelta(days=1), 1.0))

    def counts(self, model_sha256: str, since: datetime, until: datetime) -> dict[datetime, int]:
        """How many predictions are recorded, by the hour."""
        query = select(CounterRow.start, CounterRow.count).where(
            CounterRow.model_sha256 == model_sha256,
            CounterRow.seconds <= HOUR_SECONDS,
            CounterRow.start >= since,
            CounterRow.start < until,
        )
        found: dict[datetime, int] = defaultdict(int)
        with self._database.reading() as session:
            for start, count in session.execute(query):
                found[bucket_start(start, HOUR_SECONDS)] += count
        return dict(found)

    def roll_up(self, now: datetime) -> int:
        """Add minutes up to hours and hours to days where they are old enough, and say how many rows went."""
        minutes = self._roll_up(MINUTE_SECONDS, HOUR_SECONDS, now - MINUTES_ARE_KEPT)
        return minutes + self._roll_up(HOUR_SECONDS, DAY_SECONDS, now - HOURS_ARE_KEPT)

    def _roll_up(self, finer: int, wider: int, before: datetime) -> int:
        old = select(CounterRow).where(*is_old(CounterRow, finer, wider, before)).order_by(CounterRow.start)

        def step(session: Session) -> int:
            rows = locked(self._database, session, old.limit(_ROWS_AT_ONCE))
            sums: dict[tuple[str, datetime], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
            for row in rows:
                one = sums[row.model_sha256, bucket_start(row.start, wider)]
                for name in COUNTED:
                    one[name] += getattr(row, name)
                session.delete(row)
            session.flush()
            add_to_counters(
                session.connection(),
                [
                    {"model_sha256": model_sha256, "seconds": wider, "start": start, "writer": ROLLED_UP_WRITER, **one}
                    for (model_sha256, start), one in sums.items()
                ],
            )
            return len(rows)

        return self._database.repeat_in_transactions(step)
