"""What predictions add up to, by stretch of time and slice: what pages draw and long windows are checked by, row by row
unread.

Every process that writes keeps rows of its own, so that nobody waits for another's; all of it adds up. A stretch is
known by one width only: rolling minutes up into hours, and hours into days, takes the finer ones away in the same
transaction. Slices are known by the hour from the start.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, load_only

from store.database.engine import Database
from store.database.tables import RollupRow
from store.database.time_buckets import (
    DAY_SECONDS,
    HOUR_SECONDS,
    MINUTE_SECONDS,
    ROLLED_UP_WRITER,
    bucket_start,
    is_old,
    locked,
)
from store.rollups.quantile_sketch import QuantileSketch

# The slice of all predictions.
ALL = ""
# How old they are when the next wider ones take their place.
MINUTES_ARE_KEPT, HOURS_ARE_KEPT = timedelta(hours=6), timedelta(days=60)
_ROWS_AT_ONCE = 1_000
_SUMS = (RollupRow.count, RollupRow.scored, RollupRow.flagged, RollupRow.confident, RollupRow.confidence_sum)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RollupKey:
    """What a rollup is of: one model's predictions of so many seconds from an instant on, all of them or one slice, by
    one map of features; and who wrote it."""

    model_sha256: str
    seconds: int
    start: datetime
    slice: str
    features_sha256: str
    writer: UUID


@dataclass(frozen=True)
class Rollup:
    """Sums and sketches of predictions; two of them add up.

    `count` are all, `scored` and `flagged` of these, `confident` those with a confidence, `confidence_sum` the sum of it.
    `scores` and `confidences` are sketches of quantiles, `features` the sums of the rows' features and of the
    squares of these `(2 f,)`, empty where there is no reference.
    """

    count: int = 0
    scored: int = 0
    flagged: int = 0
    confident: int = 0
    confidence_sum: float = 0.0
    scores: QuantileSketch = field(default_factory=QuantileSketch)
    confidences: QuantileSketch = field(default_factory=QuantileSketch)
    features: Floats = field(default_factory=lambda: np.zeros(0))

    def __add__(self, other: "Rollup") -> "Rollup":
        return Rollup(
            self.count + other.count,
            self.scored + other.scored,
            self.flagged + other.flagged,
            self.confident + other.confident,
            self.confidence_sum + other.confidence_sum,
            self.scores + other.scores,
            self.confidences + other.confidences,
            # One without features, as before a reference was there, adds none.
            self.features + other.features if self.features.size == other.features.size else _larger(self, other),
        )

    @property
    def flagged_share(self) -> float | None:
        return self.flagged / self.scored if self.scored else None

    @property
    def mean_confidence(self) -> float | None:
        return self.confidence_sum / self.confident if self.confident else None


class RollupRepository:
    """Every rollup."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, session: Session, rollups: Iterable[tuple[RollupKey, Rollup]]) -> None:
        """Write rollups as they stand now, in the caller's transaction; a writer replaces its own."""
        for stretch, rollup in rollups:
            session.merge(_row(stretch, rollup))
        session.flush()

    def replace(
        self, session: Session, model_sha256: str, since: datetime, rollups: Sequence[tuple[RollupKey, Rollup]]
    ) -> None:
        """Put others in the place of everything that is known of one hour, in the caller's transaction."""
        hour = (RollupRow.model_sha256 == model_sha256, RollupRow.seconds <= HOUR_SECONDS)
        until = since + timedelta(seconds=HOUR_SECONDS)
        session.execute(delete(RollupRow).where(*hour, RollupRow.start >= since, RollupRow.start < until))
        self.put(session, rollups)

    def between(
        self, model_sha256: str, since: datetime, until: datetime, *, slice_: str = ALL
    ) -> list[tuple[RollupKey, Rollup]]:
        """The rollups of one slice that begin at `since` or after it and before `until`, in order of time; without the
        sums of features, which are most of what a rollup takes."""
        query = (
            select(RollupRow)
            .where(
                RollupRow.model_sha256 == model_sha256,
                RollupRow.slice == slice_,
                RollupRow.start >= since,
                RollupRow.start < until,
            )
            .order_by(RollupRow.start)
            .options(load_only(*_SUMS, RollupRow.scores, RollupRow.confidences))
        )
        with self._database.reading() as session:
            return [(_stretch(row), _rollup(row, with_features=False)) for row in session.scalars(query)]

    def sums(
        self,
        model_sha256: str,
        since: datetime,
        until: datetime,
        features_sha256: str,
        slices: Sequence[str] = (ALL,),
    ) -> dict[str, Rollup]:
        """What slices add up to by one map of features, these sums among it and no sketches. Rollups without features, as
        they were forgotten, are left out."""
        query = select(RollupRow.slice, RollupRow.count, RollupRow.scored, RollupRow.flagged, RollupRow.features).where(
            RollupRow.model_sha256 == model_sha256,
            RollupRow.slice.in_(slices),
            RollupRow.start >= since,
            RollupRow.start < until,
            RollupRow.features_sha256 == features_sha256,
            RollupRow.features != b"",
        )
        found: dict[str, Rollup] = {}
        with self._database.reading() as session:
            for name, count, scored, flagged, features in session.execute(query):
                one = Rollup(count, scored, flagged, features=_features(features))
                found[name] = found[name] + one if name in found else one
        return found

    def by_slice(self, model_sha256: str, since: datetime, until: datetime) -> dict[str, Rollup]:
        """What each slice adds up to, the largest first; without sketches and features, so that there may be many."""
        query = (
            select(
                RollupRow.slice,
                func.sum(RollupRow.count),
                func.sum(RollupRow.scored),
                func.sum(RollupRow.flagged),
                func.sum(RollupRow.confident),
                func.sum(RollupRow.confidence_sum),
            )
            .where(
                RollupRow.model_sha256 == model_sha256,
                RollupRow.slice != ALL,
                RollupRow.start >= since,
                RollupRow.start < until,
            )
            .group_by(RollupRow.slice)
            .order_by(func.sum(RollupRow.count).desc(), RollupRow.slice)
        )
        with self._database.reading() as session:
            return {
                name: Rollup(int(count), int(scored), int(flagged), int(confident), float(confidence))
                for name, count, scored, flagged, confident, confidence in session.execute(query)
            }

    def counts(self, model_sha256: str, since: datetime, until: datetime) -> dict[datetime, int]:
        """How many predictions are added up, by the hour."""
        query = select(RollupRow.start, RollupRow.count).where(
            RollupRow.model_sha256 == model_sha256,
            RollupRow.slice == ALL,
            RollupRow.seconds <= HOUR_SECONDS,
            RollupRow.start >= since,
            RollupRow.start < until,
        )
        found: dict[datetime, int] = {}
        with self._database.reading() as session:
            for start, count in session.execute(query):
                hour = bucket_start(start, HOUR_SECONDS)
                found[hour] = found.get(hour, 0) + count
        return found

    def roll_up(self, now: datetime) -> int:
        """Add minutes up to hours and hours to days where they are old enough, and say how many rows went."""
        minutes = self._roll_up(MINUTE_SECONDS, HOUR_SECONDS, now - MINUTES_ARE_KEPT)
        return minutes + self._roll_up(HOUR_SECONDS, DAY_SECONDS, now - HOURS_ARE_KEPT)

    def _roll_up(self, finer: int, wider: int, before: datetime) -> int:
        def step(session: Session) -> int:
            old = select(RollupRow).where(*is_old(RollupRow, finer, wider, before)).limit(_ROWS_AT_ONCE)
            rows = locked(self._database, session, old.order_by(RollupRow.start))
            sums: dict[RollupKey, Rollup] = {}
            for row in rows:
                stretch, rollup = _stretch(row), _rollup(row)
                start = bucket_start(stretch.start, wider)
                wide = RollupKey(
                    stretch.model_sha256, wider, start, stretch.slice, stretch.features_sha256, writer=ROLLED_UP_WRITER
                )
                sums[wide] = sums[wide] + rollup if wide in sums else rollup
                session.delete(row)
            session.flush()
            for wide, rollup in sums.items():
                there = session.get(RollupRow, _key(wide))
                whole = rollup if there is None else _rollup(there) + rollup
                self.put(session, [(wide, whole)])
            return len(rows)

        return self._database.repeat_in_transactions(step)


def _larger(one: Rollup, other: Rollup) -> Floats:
    return one.features if one.features.size > other.features.size else other.features


def _key(stretch: RollupKey) -> tuple[object, ...]:
    return (
        stretch.model_sha256,
        stretch.seconds,
        stretch.start,
        stretch.slice,
        stretch.features_sha256,
        stretch.writer,
    )


def _row(stretch: RollupKey, rollup: Rollup) -> RollupRow:
    return RollupRow(
        model_sha256=stretch.model_sha256,
        seconds=stretch.seconds,
        start=stretch.start,
        slice=stretch.slice,
        features_sha256=stretch.features_sha256,
        writer=stretch.writer,
        count=rollup.count,
        scored=rollup.scored,
        flagged=rollup.flagged,
        confident=rollup.confident,
        confidence_sum=rollup.confidence_sum,
        scores=rollup.scores.to_bytes(),
        confidences=rollup.confidences.to_bytes(),
        features=rollup.features.astype("<f4").tobytes(),
    )


def _stretch(row: RollupRow) -> RollupKey:
    return RollupKey(row.model_sha256, row.seconds, row.start, row.slice, row.features_sha256, row.writer)


def _rollup(row: RollupRow, *, with_features: bool = True) -> Rollup:
    return Rollup(
        row.count,
        row.scored,
        row.flagged,
        row.confident,
        row.confidence_sum,
        QuantileSketch.from_bytes(row.scores),
        QuantileSketch.from_bytes(row.confidences),
        _features(row.features) if with_features else np.zeros(0),
    )


def _features(content: bytes) -> Floats:
    return np.frombuffer(content, "<f4").astype(np.float64)
