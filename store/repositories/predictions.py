"""Recorded predictions, and windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from json import loads
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from store.clock import EPOCH
from store.database.engine import Database
from store.database.tables import InputRow, ModelRow, PredictionRow
from store.recording.bulk_insert import record_batches
from store.recording.embedding_codec import decode_embeddings, decode_logits
from store.recording.prediction_batch import PredictionBatch, PredictionRecord, RawInput

# SQLite takes at most 32,766 parameters in a statement.
_IDS_PER_QUERY = 5_000


@dataclass(frozen=True)
class RecordedWindow:
    """The recorded predictions of one model from `since` (exclusive) to `until` (inclusive), in order of time.

    `total`, `scored_total` and `flagged_total` count every row. The arrays hold all rows whose embedding is still recorded,
    or a uniform sample of `max_rows`. Where a value was not recorded the arrays hold NaN (or -1 for a class).
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
    """The numbers that alarms watch, of every prediction of a span of time, in order of time; n rows.

    `scores` `(n,)` are infinite for inputs that are not finite and NaN where nothing was scored, `confidences` `(n,)`
    NaN and `class_indices` `(n,)` -1 where the learner predicts no single class.
    """

    at: list[datetime]
    scores: npt.NDArray[np.float64]
    confidences: npt.NDArray[np.float64]
    class_indices: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """How far the latest predictions of a shadow agree with those of the live version that they repeat.

    `same` is the share of equal predictions, None where numbers are predicted. `difference` is the mean absolute difference
    of the numbers where numbers are predicted, else of the confidences; None where there are none.
    """

    count: int
    same: float | None
    difference: float | None


@dataclass(frozen=True)
class FlaggedCount:
    """Counts of all and of flagged predictions after `since` and up to `until`."""

    since: datetime
    until: datetime
    total: int
    flagged: int


class PredictionRepository:
    """Every recorded prediction."""

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
        """Count the recorded predictions of one model, or of all."""
        query = select(func.count()).select_from(PredictionRow)
        if model_sha256 is not None:
            query = query.where(PredictionRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return session.scalar(query) or 0

    def count_between(self, model_sha256: str, since: datetime, until: datetime) -> int:
        """Count the predictions of one model after `since` and up to `until`."""
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
        """The numbers that alarms watch, of every prediction after `since` and up to `until`."""
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
        """The predictions with these ids, in order of time; those that were deleted are left out."""
        with self._database.reading() as session:
            rows = _load_rows(session, ids)
        flagged = sum(bool(row.flagged) for row in rows)
        scored = sum(row.flagged is not None for row in rows)
        since, until = (rows[0].at, rows[-1].at) if rows else (EPOCH, EPOCH)
        return _window(rows, since, until, total=len(rows), scored=scored, flagged=flagged)

    def window(
        self,
        model_sha256: str,
        since: datetime,
        until: datetime,
        *,
        max_rows: int,
        rng: np.random.Generator,
    ) -> RecordedWindow:
        """Load the window after `since` and up to `until`; when it holds more than `max_rows`, a uniform sample of them."""
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
                row_indices = np.sort(rng.choice(len(ids), size=max_rows, replace=False))
                chosen = [ids[index] for index in row_indices]
            rows = _load_rows(session, chosen)
        return _window(rows, since, until, total=total, scored=scored, flagged=flagged)

    def agreement(self, shadow_sha256: str, *, latest: int = 5_000) -> Agreement:
        """Compare the latest predictions of a shadow with those that they repeat."""
        live = aliased(PredictionRow)
        query = (
            select(PredictionRow.prediction, PredictionRow.confidence, live.prediction, live.confidence)
            .join(live, live.id == PredictionRow.mirrors_id)
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
            gaps = [
                np.abs(np.asarray(loads(shadow_text)) - np.asarray(loads(live_text))).mean()
                for shadow_text, _, live_text, _ in pairs
            ]
            return Agreement(len(pairs), None, float(np.mean(gaps)))
        same = float(np.mean([shadow_class == live_class for shadow_class, _, live_class, _ in pairs]))
        gaps = [
            abs(shadow_confidence - live_confidence)
            for _, shadow_confidence, _, live_confidence in pairs
            if shadow_confidence is not None and live_confidence is not None
        ]
        return Agreement(len(pairs), same, float(np.mean(gaps)) if gaps else None)

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        """Count all and flagged predictions in `bins` spans of equal length from `since` to `until`."""
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
        """The raw inputs of these predictions; those that were not recorded, or were deleted, are left out."""
        raw_inputs: dict[UUID, RawInput] = {}
        with self._database.reading() as session:
            for start in range(0, len(ids), _IDS_PER_QUERY):
                some_ids = ids[start : start + _IDS_PER_QUERY]
                for row in session.scalars(select(InputRow).where(InputRow.prediction_id.in_(some_ids))):
                    raw_inputs[row.prediction_id] = RawInput(row.media_type, row.content)
        return raw_inputs

    def get(self, prediction_id: UUID) -> PredictionRecord | None:
        """One recorded prediction with its raw input; None if it is not recorded."""
        with self._database.reading() as session:
            row = session.get(PredictionRow, prediction_id)
            if row is None:
                return None
            raw_input = session.get(InputRow, prediction_id)
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
                raw_input=None if raw_input is None else RawInput(raw_input.media_type, raw_input.content),
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


def _load_rows(session: Session, ids: Sequence[UUID]) -> list[PredictionRow]:
    rows: list[PredictionRow] = []
    for start in range(0, len(ids), _IDS_PER_QUERY):
        some_ids = ids[start : start + _IDS_PER_QUERY]
        rows.extend(session.scalars(select(PredictionRow).where(PredictionRow.id.in_(some_ids))))
    # Those whose embedding was deleted can't be compared any more.
    return sorted((row for row in rows if row.embedding), key=lambda row: (row.at, row.id))


def _floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)
