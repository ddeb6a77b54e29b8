"""The record of predictions, and the windows cut from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from json import loads
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from store.database.engine import Database
from store.database.tables import InputRow, ModelRow, PredictionRow
from store.recording.batches import PredictionBatch, PredictionRecord, RawInput
from store.recording.bulk_insert import record_batches
from store.recording.embedding_codec import decode_embeddings, decode_logits

# SQLite takes at most 32,766 parameters in a statement.
_IDS_PER_QUERY = 5_000
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RecordedWindow:
    """The recorded predictions of one model from `since` (exclusive) to `until` (inclusive), in order of time.

    `total` and `flagged_total` count every row. The arrays hold all rows too, or a uniform sample when there are more
    than were asked for. Where a value was not recorded the arrays hold NaN (or -1 for a class).
    """

    since: datetime
    until: datetime
    total: int
    scored_total: int
    flagged_total: int
    ids: list[UUID]
    at: list[datetime]
    predictions: list[str]
    tags: list[dict[str, Any]]
    embeddings: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]
    class_indices: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    p_values: npt.NDArray[np.float64]
    flagged: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RecordedStream:
    """Numbers of every prediction of a stretch of time, in order of arrival; n rows.

    `scores` `(n,)` are infinite for inputs that are not finite and NaN where nothing was scored, `confidences` `(n,)`
    NaN and `class_indices` `(n,)` -1 where the learner predicts no single class.
    """

    at: list[datetime]
    scores: npt.NDArray[np.float64]
    confidences: npt.NDArray[np.float64]
    class_indices: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """How the latest predictions of a shadow compare with those it repeats.

    `same` is the share of equal predictions, None where numbers are predicted; then `difference` is the mean absolute
    difference of the numbers, and else that of the confidences; None where there is neither.
    """

    count: int
    same: float | None
    difference: float | None


@dataclass(frozen=True)
class FlaggedCount:
    """How many predictions a stretch of time held, and how many were flagged."""

    since: datetime
    until: datetime
    total: int
    flagged: int


class PredictionRepository:
    """Every prediction that was answered."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, model_sha256: str, records: Sequence[PredictionRecord]) -> None:
        """Write predictions of one model in one transaction; durable when this returns.

        Raises:
            StoreUnavailable: nothing was written.
        """
        if records:
            self.record_batches([PredictionBatch.of(model_sha256, records)])

    def record_batches(self, batches: Sequence[PredictionBatch]) -> None:
        """Write batches in one transaction; durable when this returns.

        Raises:
            StoreUnavailable: nothing was written.
        """
        record_batches(self._database, batches)

    def count(self, model_sha256: str | None = None) -> int:
        """How many predictions are recorded, of one model or of all."""
        query = select(func.count()).select_from(PredictionRow)
        if model_sha256 is not None:
            query = query.where(PredictionRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return session.scalar(query) or 0

    def count_between(self, model_sha256: str, since: datetime, until: datetime) -> int:
        """How many predictions of one model lie after one instant and up to another."""
        query = select(func.count()).where(
            PredictionRow.model_sha256 == model_sha256, PredictionRow.at > since, PredictionRow.at <= until
        )
        with self._database.reading() as session:
            return session.scalar(query) or 0

    def start_of_last(self, model_sha256: str, number: int, until: datetime) -> datetime | None:
        """The instant of the `number`-th last prediction up to `until`; None when there are fewer."""
        query = (
            select(PredictionRow.at)
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at <= until)
            .order_by(PredictionRow.at.desc())
            .offset(number)
            .limit(1)
        )
        with self._database.reading() as session:
            return session.scalar(query)

    def stream(self, model_sha256: str, since: datetime, until: datetime) -> RecordedStream:
        """The numbers that alarms watch, of every prediction after `since` up to `until`."""
        query = (
            select(
                PredictionRow.at,
                PredictionRow.ood_score,
                PredictionRow.flagged,
                PredictionRow.confidence,
                PredictionRow.class_index,
            )
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at > since, PredictionRow.at <= until)
            .order_by(PredictionRow.at, PredictionRow.id)
        )
        with self._database.reading() as session:
            rows = session.execute(query).all()
        scores = [(np.inf if row.flagged else np.nan) if row.ood_score is None else row.ood_score for row in rows]
        return RecordedStream(
            at=[row.at for row in rows],
            scores=np.array(scores, np.float64),
            confidences=_floats([row.confidence for row in rows]),
            class_indices=np.array([-1 if row.class_index is None else row.class_index for row in rows], np.int64),
        )

    def rows(self, ids: Sequence[UUID]) -> RecordedWindow:
        """These predictions, in order of time; those that are gone are missing."""
        with self._database.reading() as session:
            found = _rows(session, ids)
        flagged = sum(bool(row.flagged) for row in found)
        scored = sum(row.flagged is not None for row in found)
        since, until = (found[0].at, found[-1].at) if found else (_NEVER, _NEVER)
        return _window(found, since, until, total=len(found), scored=scored, flagged=flagged)

    def window(
        self,
        model_sha256: str,
        since: datetime,
        until: datetime,
        *,
        max_rows: int,
        rng: np.random.Generator,
    ) -> RecordedWindow:
        """Cut the window after `since` up to `until`, sampling `max_rows` uniformly when it holds more."""
        within = and_(PredictionRow.model_sha256 == model_sha256, PredictionRow.at > since, PredictionRow.at <= until)
        with self._database.reading() as session:
            ids = list(session.scalars(select(PredictionRow.id).where(within).order_by(PredictionRow.id)))
            total, scored, flagged = session.execute(
                select(
                    func.count(),
                    func.count(PredictionRow.flagged),
                    func.count().filter(PredictionRow.flagged.is_(True)),
                ).where(within)
            ).one()
            chosen = ids
            if len(ids) > max_rows:
                places = np.sort(rng.choice(len(ids), size=max_rows, replace=False))
                chosen = [ids[place] for place in places]
            rows = _rows(session, chosen)
        return _window(rows, since, until, total=total, scored=scored, flagged=flagged)

    def agreement(self, shadow_sha256: str, *, latest: int = 5_000) -> Agreement:
        """Compare the latest predictions of a shadow with those they repeat."""
        repeated = aliased(PredictionRow)
        query = (
            select(PredictionRow.prediction, PredictionRow.confidence, repeated.prediction, repeated.confidence)
            .join(repeated, repeated.id == PredictionRow.mirrors_id)
            .where(PredictionRow.model_sha256 == shadow_sha256)
            .order_by(PredictionRow.at.desc())
            .limit(latest)
        )
        with self._database.reading() as session:
            pairs = session.execute(query).all()
            classes = session.scalar(select(ModelRow.classes).where(ModelRow.sha256 == shadow_sha256))
        if not pairs:
            return Agreement(0, None, None)
        if not classes:
            # Numbers are recorded as JSON.
            gaps = [np.abs(np.asarray(loads(ours)) - np.asarray(loads(theirs))).mean() for ours, _, theirs, _ in pairs]
            return Agreement(len(pairs), None, float(np.mean(gaps)))
        same = float(np.mean([ours == theirs for ours, _, theirs, _ in pairs]))
        known = [abs(ours - theirs) for _, ours, _, theirs in pairs if ours is not None and theirs is not None]
        return Agreement(len(pairs), same, float(np.mean(known)) if known else None)

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        """Count all and flagged predictions in equal stretches of the time from `since` to `until`."""
        width = (until - since) / bins
        edges = [since + width * step for step in range(bins)] + [until]
        counts = []
        with self._database.reading() as session:
            for start, end in pairwise(edges):
                total, flagged = session.execute(
                    select(func.count(), func.count().filter(PredictionRow.flagged.is_(True))).where(
                        PredictionRow.model_sha256 == model_sha256, PredictionRow.at > start, PredictionRow.at <= end
                    )
                ).one()
                counts.append(FlaggedCount(start, end, total, flagged))
        return counts

    def raw_inputs(self, ids: Sequence[UUID]) -> dict[UUID, RawInput]:
        """The kept inputs among these predictions; those that were not kept, or are forgotten, are missing."""
        found: dict[UUID, RawInput] = {}
        with self._database.reading() as session:
            for start in range(0, len(ids), _IDS_PER_QUERY):
                part = ids[start : start + _IDS_PER_QUERY]
                for row in session.scalars(select(InputRow).where(InputRow.prediction_id.in_(part))):
                    found[row.prediction_id] = RawInput(row.media_type, row.content)
        return found

    def get(self, prediction_id: UUID) -> PredictionRecord | None:
        """One recorded prediction with its input, or None."""
        with self._database.reading() as session:
            row = session.get(PredictionRow, prediction_id)
            if row is None:
                return None
            kept = session.get(InputRow, prediction_id)
            return PredictionRecord(
                id=row.id,
                at=row.at,
                prediction=row.prediction,
                class_index=row.class_index,
                confidence=row.confidence,
                ood_score=row.ood_score,
                ood_p_value=row.ood_p_value,
                flagged=row.flagged,
                latency_seconds=row.latency_seconds,
                tags=row.tags,
                mirrors_id=row.mirrors_id,
                embedding=decode_embeddings([row.embedding])[0] if row.embedding else np.zeros(0, np.float32),
                logits=decode_logits([row.logits])[0],
                raw_input=None if kept is None else RawInput(kept.media_type, kept.content),
            )


def _window(
    rows: Sequence[PredictionRow], since: datetime, until: datetime, *, total: int, scored: int, flagged: int
) -> RecordedWindow:
    return RecordedWindow(
        since=since,
        until=until,
        total=total,
        scored_total=scored,
        flagged_total=flagged,
        ids=[row.id for row in rows],
        at=[row.at for row in rows],
        predictions=[row.prediction for row in rows],
        tags=[row.tags or {} for row in rows],
        embeddings=decode_embeddings([row.embedding for row in rows]),
        logits=decode_logits([row.logits for row in rows]),
        class_indices=np.array([-1 if row.class_index is None else row.class_index for row in rows], np.int64),
        confidences=_floats([row.confidence for row in rows]),
        scores=_floats([row.ood_score for row in rows]),
        p_values=_floats([row.ood_p_value for row in rows]),
        flagged=np.array([bool(row.flagged) for row in rows], np.bool_),
    )


def _rows(session: Session, ids: Sequence[UUID]) -> list[PredictionRow]:
    rows: list[PredictionRow] = []
    for start in range(0, len(ids), _IDS_PER_QUERY):
        part = ids[start : start + _IDS_PER_QUERY]
        rows.extend(session.scalars(select(PredictionRow).where(PredictionRow.id.in_(part))))
    # Those whose embedding is forgotten can't be compared any more.
    return sorted((row for row in rows if row.embedding), key=lambda row: (row.at, row.id))


def _floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
