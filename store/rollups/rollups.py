"""Sums and quantile sketches of predictions by time bucket and slice: history pages and long windows are made from these,
without reading the predictions.

Every process writes rows of its own, so that none waits for another's; rows of the same bucket are added when they are
read. Every prediction is in one bucket only: rolling minutes up into hours, and hours into days, deletes the finer rows in
the same transaction. Rollups of slices are by the hour from the start.
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
    due_for_roll_up,
    lock_rows,
)
from store.rollups.quantile_sketch import QuantileSketch

# The name of the slice that holds all predictions.
ALL = ""
# How old rollups are when they are rolled up into the next wider ones.
MINUTES_ARE_KEPT, HOURS_ARE_KEPT = timedelta(hours=6), timedelta(days=60)
_ROWS_AT_ONCE = 1_000
_SUMS = (RollupRow.count, RollupRow.scored, RollupRow.flagged, RollupRow.confident, RollupRow.confidence_sum)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RollupKey:
    """Which predictions a rollup is of, and which process wrote it: one model's predictions of one slice in the bucket of
    `seconds` that begins at `start`, with the map from embeddings to features that has this hash."""

    model_sha256: str
    seconds: int
    start: datetime
    slice: str
    features_sha256: str
    writer: UUID


@dataclass(frozen=True)
class Rollup:
    """Sums and sketches of predictions; two of them can be added.

    `count` is the number of predictions, `scored` and `flagged` of those scored and flagged, `confident` of those with a
    confidence, and `confidence_sum` the sum of the confidences. `scores` and `confidences` are sketches of quantiles.
    `features` are the sums of the rows' features, then of their squares `(2 f,)`; empty without a reference.
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
            _add_features(self.features, other.features),
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

    def save(self, session: Session, rollups: Iterable[tuple[RollupKey, Rollup]]) -> None:
        """Write rollups, in the caller's transaction; one with the same key is replaced."""
        for key, rollup in rollups:
            session.merge(_row(key, rollup))
        session.flush()

    def replace(
        self, session: Session, model_sha256: str, since: datetime, rollups: Sequence[tuple[RollupKey, Rollup]]
    ) -> None:
        """Replace all rollups of the hour that begins at `since`, in the caller's transaction."""
        of_model = (RollupRow.model_sha256 == model_sha256, RollupRow.seconds <= HOUR_SECONDS)
        until = since + timedelta(seconds=HOUR_SECONDS)
        session.execute(delete(RollupRow).where(*of_model, RollupRow.start >= since, RollupRow.start < until))
        self.save(session, rollups)

    def between(
        self, model_sha256: str, since: datetime, until: datetime, *, slice_: str = ALL
    ) -> list[tuple[RollupKey, Rollup]]:
        """The rollups of one slice that begin at `since` or later and before `until`, in order of time.

        Sums of features, which are most of a rollup's bytes, are not read.
        """
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
            return [(_key(row), _rollup(row, with_features=False)) for row in session.scalars(query)]

    def sums(
        self,
        model_sha256: str,
        since: datetime,
        until: datetime,
        features_sha256: str,
        slices: Sequence[str] = (ALL,),
    ) -> dict[str, Rollup]:
        """The sums of each slice with one map of features, by the slice's name, without sketches.

        Rollups whose sums of features were deleted are left out.
        """
        query = select(RollupRow.slice, RollupRow.count, RollupRow.scored, RollupRow.flagged, RollupRow.features).where(
            RollupRow.model_sha256 == model_sha256,
            RollupRow.slice.in_(slices),
            RollupRow.start >= since,
            RollupRow.start < until,
            RollupRow.features_sha256 == features_sha256,
            RollupRow.features != b"",
        )
        sums: dict[str, Rollup] = {}
        with self._database.reading() as session:
            for name, count, scored, flagged, features in session.execute(query):
                rollup = Rollup(count, scored, flagged, features=_decode_features(features))
                sums[name] = sums[name] + rollup if name in sums else rollup
        return sums

    def by_slice(self, model_sha256: str, since: datetime, until: datetime) -> dict[str, Rollup]:
        """The sums of every slice by its name, the largest first; without sketches and features, as slices may be many."""
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
                name: Rollup(int(count), int(scored), int(flagged), int(confident), float(confidence_sum))
                for name, count, scored, flagged, confident, confidence_sum in session.execute(query)
            }

    def counts(self, model_sha256: str, since: datetime, until: datetime) -> dict[datetime, int]:
        """Count the predictions in the rollups of each hour that has any; hours that are rolled up into days are left out."""
        query = select(RollupRow.start, RollupRow.count).where(
            RollupRow.model_sha256 == model_sha256,
            RollupRow.slice == ALL,
            RollupRow.seconds <= HOUR_SECONDS,
            RollupRow.start >= since,
            RollupRow.start < until,
        )
        counts_by_hour: dict[datetime, int] = {}
        with self._database.reading() as session:
            for start, count in session.execute(query):
                hour = bucket_start(start, HOUR_SECONDS)
                counts_by_hour[hour] = counts_by_hour.get(hour, 0) + count
        return counts_by_hour

    def roll_up(self, now: datetime) -> int:
        """Roll old minutes up into hours and old hours into days, and return how many rows were replaced."""
        minutes = self._roll_up(MINUTE_SECONDS, HOUR_SECONDS, now - MINUTES_ARE_KEPT)
        return minutes + self._roll_up(HOUR_SECONDS, DAY_SECONDS, now - HOURS_ARE_KEPT)

    def _roll_up(self, finer: int, wider: int, before: datetime) -> int:
        def step(session: Session) -> int:
            old = select(RollupRow).where(*due_for_roll_up(RollupRow, finer, wider, before)).limit(_ROWS_AT_ONCE)
            rows = lock_rows(self._database, session, old.order_by(RollupRow.start))
            sums: dict[RollupKey, Rollup] = {}
            for row in rows:
                start, rollup = bucket_start(row.start, wider), _rollup(row)
                key = RollupKey(row.model_sha256, wider, start, row.slice, row.features_sha256, ROLLED_UP_WRITER)
                sums[key] = sums[key] + rollup if key in sums else rollup
                session.delete(row)
            session.flush()
            for key, rollup in sums.items():
                existing = session.get(RollupRow, _primary_key(key))
                self.save(session, [(key, rollup if existing is None else _rollup(existing) + rollup)])
            return len(rows)

        return self._database.repeat_in_transactions(step)


def _add_features(first: Floats, second: Floats) -> Floats:
    if first.size == second.size:
        return first + second
    # One of them is empty: it is from before the model had a reference.
    return first if first.size > second.size else second


def _primary_key(key: RollupKey) -> tuple[object, ...]:
    return (
        key.model_sha256,
        key.seconds,
        key.start,
        key.slice,
        key.features_sha256,
        key.writer,
    )


def _row(key: RollupKey, rollup: Rollup) -> RollupRow:
    return RollupRow(
        model_sha256=key.model_sha256,
        seconds=key.seconds,
        start=key.start,
        slice=key.slice,
        features_sha256=key.features_sha256,
        writer=key.writer,
        count=rollup.count,
        scored=rollup.scored,
        flagged=rollup.flagged,
        confident=rollup.confident,
        confidence_sum=rollup.confidence_sum,
        scores=rollup.scores.to_bytes(),
        confidences=rollup.confidences.to_bytes(),
        features=rollup.features.astype("<f4").tobytes(),
    )


def _key(row: RollupRow) -> RollupKey:
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
        _decode_features(row.features) if with_features else np.zeros(0),
    )


def _decode_features(content: bytes) -> Floats:
    return np.frombuffer(content, "<f4").astype(np.float64)
