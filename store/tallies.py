"""How much was predicted when, without reading the predictions: tallies that were written with them, and add up.

A stretch of time is counted by one width only: rolling minutes up into hours, and hours into days, takes the finer
ones away in the same transaction.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select

from store.engine import Database
from store.tables import TallyRow
from store.writing import MINUTE_SECONDS, TALLIED, add_tallies

HOUR_SECONDS, DAY_SECONDS = 3_600, 86_400
# How old tallies are when the next wider ones take their place.
MINUTES_ARE_KEPT, HOURS_ARE_KEPT = timedelta(days=3), timedelta(days=60)
_ROLLED_UP = UUID(int=0)
_ROWS_AT_ONCE = 5_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Totals:
    """Predictions of one model: how many, the share flagged of those scored, their mean confidence."""

    count: int
    flagged_share: float | None
    mean_confidence: float | None


class TallyRepository:
    """Every tally."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def total(self, model_sha256: str, since: datetime | None = None) -> Totals:
        """What one model predicted so far, or in the minutes from an instant on."""
        query = select(
            func.coalesce(func.sum(TallyRow.count), 0),
            func.coalesce(func.sum(TallyRow.scored), 0),
            func.coalesce(func.sum(TallyRow.flagged), 0),
            func.coalesce(func.sum(TallyRow.confident), 0),
            func.coalesce(func.sum(TallyRow.confidence_sum), 0.0),
        ).where(TallyRow.model_sha256 == model_sha256)
        if since is not None:
            query = query.where(TallyRow.start >= since)
        with self._database.reading() as session:
            count, scored, flagged, confident, confidence = session.execute(query).one()
        return Totals(
            int(count),
            float(flagged) / int(scored) if scored else None,
            float(confidence) / int(confident) if confident else None,
        )

    def per_day(self, model_sha256: str, until: datetime, days: float = 7.0) -> float:
        """How many predictions a day brings, by the last days; those of less than a day count as a day's."""
        query = select(func.sum(TallyRow.count), func.min(TallyRow.start)).where(
            TallyRow.model_sha256 == model_sha256,
            TallyRow.start > until - timedelta(days=days),
            TallyRow.start <= until,
        )
        with self._database.reading() as session:
            total, first = session.execute(query).one()
        if not total:
            return 0.0
        return float(int(total) / max((until - first) / timedelta(days=1), 1.0))

    def roll_up(self, now: datetime) -> int:
        """Add minutes up to hours and hours to days where they are old enough, and say how many rows went."""
        minutes = self._roll_up(MINUTE_SECONDS, HOUR_SECONDS, now - MINUTES_ARE_KEPT)
        return minutes + self._roll_up(HOUR_SECONDS, DAY_SECONDS, now - HOURS_ARE_KEPT)

    def _roll_up(self, finer: int, wider: int, before: datetime) -> int:
        # Whole stretches only: a part of one would come again.
        edge = _floor(before, wider)
        gone = 0
        while step := self._roll_up_some(finer, wider, edge):
            gone += step
        return gone

    def _roll_up_some(self, finer: int, wider: int, edge: datetime) -> int:
        old = (
            select(TallyRow)
            .where(TallyRow.seconds == finer, TallyRow.start < edge)
            .order_by(TallyRow.start)
            .limit(_ROWS_AT_ONCE)
        )
        with self._database.writing() as session:
            if not self._database.is_sqlite:
                old = old.with_for_update(skip_locked=True)
            rows = list(session.scalars(old))
            sums: dict[tuple[str, datetime], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
            for row in rows:
                one = sums[row.model_sha256, _floor(row.start, wider)]
                for name in TALLIED:
                    one[name] += getattr(row, name)
                session.execute(
                    delete(TallyRow).where(
                        TallyRow.model_sha256 == row.model_sha256,
                        TallyRow.seconds == finer,
                        TallyRow.start == row.start,
                        TallyRow.writer == row.writer,
                    )
                )
            add_tallies(
                session.connection(),
                [
                    {"model_sha256": model_sha256, "seconds": wider, "start": start, "writer": _ROLLED_UP, **one}
                    for (model_sha256, start), one in sorted(sums.items())
                ],
            )
        return len(rows)


def _floor(instant: datetime, seconds: int) -> datetime:
    width = timedelta(seconds=seconds)
    return _EPOCH + (instant - _EPOCH) // width * width
