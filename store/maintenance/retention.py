"""Deletion of old records: raw inputs first, then embeddings, then predictions, then rollups and counters.

Rows are deleted in small steps, each in a transaction of its own, so that no gateway waits long. On PostgreSQL the
partition of a day is dropped where every model's rows of that day are too old.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store.database import partitions
from store.database.engine import Database
from store.database.tables import CounterRow, InputRow, MinuteRow, ModelRow, PredictionRow, RollupRow
from store.errors import StoreUnavailable
from store.settings import RetentionDays

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Forgotten:
    """How many rows were deleted, and how many partitions of a day were dropped."""

    inputs: int = 0
    embeddings: int = 0
    predictions: int = 0
    tallies: int = 0
    days: int = 0


class Retention:
    """Deletes what is older than the settings allow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget(self, now: datetime) -> Forgotten:
        """Delete everything that is too old at this instant.

        Raises:
            StoreUnavailable: the database does not answer; what was deleted until then stays deleted.
        """
        with self._database.reading() as session:
            models = session.scalars(select(ModelRow))
            retention = {model.sha256: self._database.settings.retention_of(model.name) for model in models}
        dropped = self._drop_partitions(list(retention.values()), now)
        inputs = embeddings = predictions = tallies = 0
        for sha256, days in retention.items():
            inputs += self._delete_inputs(sha256, _days_before(now, days.inputs_days))
            embeddings += self._delete_embeddings(sha256, _days_before(now, days.embeddings_days))
            predictions += self._delete_predictions(sha256, _days_before(now, days.predictions_days))
            tallies += self._delete_counters(
                sha256, _days_before(now, days.tallies_days), _days_before(now, days.embeddings_days)
            )
        longest = max((days.inputs_days for days in retention.values()), default=0)
        inputs += self._delete_orphaned_inputs(_days_before(now, longest))
        return Forgotten(inputs, embeddings, predictions, tallies, dropped)

    def _drop_partitions(self, retention: Sequence[RetentionDays], now: datetime) -> int:
        if self._database.is_sqlite or not retention:
            return 0
        longest = {
            "inputs": max(days.inputs_days for days in retention),
            "predictions": max(days.predictions_days for days in retention),
        }
        dropped = 0
        for table, days in longest.items():
            try:
                with self._database.writing() as session:
                    # Whoever reads or writes goes first, and gateways queue behind this one.
                    session.connection().exec_driver_sql("SET LOCAL lock_timeout = '1s'")
                    dropped += len(partitions.drop_before(session.connection(), table, _days_before(now, days)))
            except StoreUnavailable:
                logger.warning("old days of %s are in use; they are dropped at the next upkeep", table)
        return dropped

    def _delete_inputs(self, model_sha256: str, before: datetime) -> int:
        old = (
            select(InputRow.prediction_id)
            .join(PredictionRow, PredictionRow.id == InputRow.prediction_id)
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before)
            .limit(ROWS_AT_ONCE)
        )
        return self._database.repeat_in_transactions(
            lambda session: _delete_rows(session, InputRow, InputRow.prediction_id, old)
        )

    def _delete_orphaned_inputs(self, before: datetime) -> int:
        """Delete old inputs whose prediction is deleted, or whose model is not registered."""
        old = select(InputRow.prediction_id).where(InputRow.at < before).order_by(InputRow.at).limit(ROWS_AT_ONCE)
        return self._database.repeat_in_transactions(
            lambda session: _delete_rows(session, InputRow, InputRow.prediction_id, old)
        )

    def _delete_embeddings(self, model_sha256: str, before: datetime) -> int:
        def step(session: Session) -> int:
            model = session.get_one(ModelRow, model_sha256)
            deleted_until = model.embeddings_forgotten_until
            query = select(PredictionRow.id, PredictionRow.at).where(
                PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before
            )
            if deleted_until is not None:
                query = query.where(PredictionRow.at > deleted_until)
            rows = session.execute(query.order_by(PredictionRow.at).limit(ROWS_AT_ONCE)).all()
            if not rows:
                return 0
            last = rows[-1].at
            # All rows of the last instant, also those past the limit, as the next step begins after it.
            from_first = (PredictionRow.model_sha256 == model_sha256) & (PredictionRow.at >= rows[0].at)
            session.execute(update(PredictionRow).where(from_first, PredictionRow.at <= last).values(embedding=b""))
            model.embeddings_forgotten_until = last
            return len(rows)

        return self._database.repeat_in_transactions(step)

    def _delete_predictions(self, model_sha256: str, before: datetime) -> int:
        old = (
            select(PredictionRow.id)
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before)
            .order_by(PredictionRow.at)
            .limit(ROWS_AT_ONCE)
        )
        return self._database.repeat_in_transactions(
            lambda session: _delete_rows(session, PredictionRow, PredictionRow.id, old)
        )

    def _delete_counters(self, model_sha256: str, before: datetime, features_before: datetime) -> int:
        with self._database.writing() as session:
            deleted = session.execute(
                delete(CounterRow).where(CounterRow.model_sha256 == model_sha256, CounterRow.start < before)
            )
            session.execute(delete(RollupRow).where(RollupRow.model_sha256 == model_sha256, RollupRow.start < before))
            # Sums of the features of a few rows reveal nearly as much as the embeddings themselves.
            old = (
                RollupRow.model_sha256 == model_sha256,
                RollupRow.start < features_before,
                RollupRow.features != b"",
            )
            session.execute(update(RollupRow).where(*old).values(features=b""))
            session.execute(
                delete(MinuteRow).where(MinuteRow.model_sha256 == model_sha256, MinuteRow.minute < features_before)
            )
        return int(deleted.rowcount)  # type: ignore[attr-defined]


def _delete_rows(session: Session, table: type, key: object, old: object) -> int:
    ids = list(session.scalars(old))  # type: ignore[call-overload]
    if ids:
        session.execute(delete(table).where(key.in_(ids)))  # type: ignore[attr-defined]
    return len(ids)


def _days_before(now: datetime, days: float) -> datetime:
    return now - timedelta(days=days)
