"""Counts of predictions by time bucket, read without reading the predictions.

Counters are written in the transaction that writes the predictions. Every prediction is counted in one bucket only:
rolling minutes up into hours, and hours into days, deletes the finer ones in the same transaction.
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
    due_for_roll_up,
    lock_rows,
)
from store.recording.bulk_insert import COUNTED, add_to_counters

# How old counters are when they are rolled up into the next wider ones.
MINUTES_ARE_KEPT, HOURS_ARE_KEPT = timedelta(days=3), timedelta(days=60)
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Totals:
    """Counts of one model's predictions: all, those flagged, the share of flagged ones among those scored, and the mean
    confidence; None where nothing was scored or nothing had a confidence."""

    count: int
    flagged: int
    flagged_share: float | None
    mean_confidence: float | None


class CounterRepository:
    """Every counter."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def total(self, model_sha256: str, since: datetime | None = None) -> Totals:
        """Totals of one model's predictions: all so far, or those of the buckets that begin at `since` or later."""
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
            count, scored, flagged, confident, confidence_sum = session.execute(query).one()
        return Totals(
            int(count),
            int(flagged),
            float(flagged) / int(scored) if scored else None,
            float(confidence_sum) / int(confident) if confident else None,
        )

    def per_day(self, model_sha256: str, until: datetime, days: float = 7.0) -> float:
        """The mean number of predictions a day in the last days; a history of less than a day counts as a whole day."""
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
        """Count the recorded predictions of each hour that has any; hours that are rolled up into days are left out."""
        query = select(CounterRow.start, CounterRow.count).where(
            CounterRow.model_sha256 == model_sha256,
            CounterRow.seconds <= HOUR_SECONDS,
            CounterRow.start >= since,
            CounterRow.start < until,
        )
        counts_by_hour: dict[datetime, int] = defaultdict(int)
        with self._database.reading() as session:
            for start, count in session.execute(query):
                counts_by_hour[bucket_start(start, HOUR_SECONDS)] += count
        return dict(counts_by_hour)

    def roll_up(self, now: datetime) -> int:
        """Roll old minutes up into hours and old hours into days, and return how many rows were replaced."""
        minutes = self._roll_up(MINUTE_SECONDS, HOUR_SECONDS, now - MINUTES_ARE_KEPT)
        return minutes + self._roll_up(HOUR_SECONDS, DAY_SECONDS, now - HOURS_ARE_KEPT)

    def _roll_up(self, finer: int, wider: int, before: datetime) -> int:
        old = select(CounterRow).where(*due_for_roll_up(CounterRow, finer, wider, before)).order_by(CounterRow.start)

        def step(session: Session) -> int:
            rows = lock_rows(self._database, session, old.limit(_ROWS_AT_ONCE))
            sums: dict[tuple[str, datetime], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
            for row in rows:
                bucket = sums[row.model_sha256, bucket_start(row.start, wider)]
                for name in COUNTED:
                    bucket[name] += getattr(row, name)
                session.delete(row)
            session.flush()
            add_to_counters(
                session.connection(),
                [
                    {
                        "model_sha256": model_sha256,
                        "seconds": wider,
                        "start": start,
                        "writer": ROLLED_UP_WRITER,
                        **bucket,
                    }
                    for (model_sha256, start), bucket in sums.items()
                ],
            )
            return len(rows)

        return self._database.repeat_in_transactions(step)
