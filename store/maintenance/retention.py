"""What is forgotten when: raw inputs first, then embeddings, then predictions, then the sums and tallies of them.

Everything goes in small steps, each a transaction of its own, so that no gateway waits for it. PostgreSQL drops whole
days where every model's rows of that day are too old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store.database import partitions
from store.database.engine import Database
from store.database.tables import CounterRow, InputRow, MinuteRow, ModelRow, PredictionRow, RollupRow
from store.settings import Keep

ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Forgotten:
    """How much went: rows, and days that were dropped whole."""

    inputs: int = 0
    embeddings: int = 0
    predictions: int = 0
    tallies: int = 0
    days: int = 0


class Retention:
    """Forgets what is old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def forget(self, now: datetime) -> Forgotten:
        """Forget what the policies say is too old by now.

        Raises:
            StoreUnavailable: the database does not answer; what was forgotten until then stays so.
        """
        with self._database.reading() as session:
            models = session.scalars(select(ModelRow))
            keeps = {model.sha256: self._database.settings.keep_of(model.name) for model in models}
        days = self._drop_days(list(keeps.values()), now)
        inputs = embeddings = predictions = tallies = 0
        for sha256, keep in keeps.items():
            inputs += self._inputs(sha256, _before(now, keep.inputs_days))
            embeddings += self._embeddings(sha256, _before(now, keep.embeddings_days))
            predictions += self._predictions(sha256, _before(now, keep.predictions_days))
            tallies += self._tallies(sha256, _before(now, keep.tallies_days), _before(now, keep.embeddings_days))
        inputs += self._orphans(_before(now, max((keep.inputs_days for keep in keeps.values()), default=0)))
        return Forgotten(inputs, embeddings, predictions, tallies, days)

    def _drop_days(self, keeps: Sequence[Keep], now: datetime) -> int:
        if self._database.is_sqlite or not keeps:
            return 0
        longest = {
            "inputs": max(keep.inputs_days for keep in keeps),
            "predictions": max(keep.predictions_days for keep in keeps),
        }
        dropped = 0
        for table, days in longest.items():
            with self._database.writing() as session:
                # A gateway that is writing goes first; the next look tries again.
                session.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
                dropped += len(partitions.drop_before(session.connection(), table, _before(now, days)))
        return dropped

    def _inputs(self, model_sha256: str, before: datetime) -> int:
        old = (
            select(InputRow.prediction_id)
            .join(PredictionRow, PredictionRow.id == InputRow.prediction_id)
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before)
            .limit(ROWS_AT_ONCE)
        )
        return self._database.repeat_in_transactions(
            lambda session: _delete(session, InputRow, InputRow.prediction_id, old)
        )

    def _orphans(self, before: datetime) -> int:
        """Inputs whose prediction is gone, or of no model that is known."""
        old = select(InputRow.prediction_id).where(InputRow.at < before).order_by(InputRow.at).limit(ROWS_AT_ONCE)
        return self._database.repeat_in_transactions(
            lambda session: _delete(session, InputRow, InputRow.prediction_id, old)
        )

    def _embeddings(self, model_sha256: str, before: datetime) -> int:
        def step(session: Session) -> int:
            model = session.get_one(ModelRow, model_sha256)
            done = model.embeddings_forgotten_until
            query = select(PredictionRow.id, PredictionRow.at).where(
                PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before
            )
            if done is not None:
                query = query.where(PredictionRow.at > done)
            found = session.execute(query.order_by(PredictionRow.at).limit(ROWS_AT_ONCE)).all()
            if not found:
                return 0
            last = found[-1].at
            # Rows of one instant go together, as the next step begins after it.
            same = (PredictionRow.model_sha256 == model_sha256) & (PredictionRow.at >= found[0].at)
            session.execute(update(PredictionRow).where(same, PredictionRow.at <= last).values(embedding=b""))
            model.embeddings_forgotten_until = last
            return len(found)

        return self._database.repeat_in_transactions(step)

    def _predictions(self, model_sha256: str, before: datetime) -> int:
        old = (
            select(PredictionRow.id)
            .where(PredictionRow.model_sha256 == model_sha256, PredictionRow.at < before)
            .order_by(PredictionRow.at)
            .limit(ROWS_AT_ONCE)
        )
        return self._database.repeat_in_transactions(
            lambda session: _delete(session, PredictionRow, PredictionRow.id, old)
        )

    def _tallies(self, model_sha256: str, before: datetime, sums_before: datetime) -> int:
        with self._database.writing() as session:
            gone = session.execute(
                delete(CounterRow).where(CounterRow.model_sha256 == model_sha256, CounterRow.start < before)
            )
            session.execute(delete(RollupRow).where(RollupRow.model_sha256 == model_sha256, RollupRow.start < before))
            # Sums of features of few rows say nearly as much as the embeddings themselves.
            kept = RollupRow.model_sha256 == model_sha256, RollupRow.start < sums_before, RollupRow.features != b""
            session.execute(update(RollupRow).where(*kept).values(features=b""))
            session.execute(
                delete(MinuteRow).where(MinuteRow.model_sha256 == model_sha256, MinuteRow.minute < sums_before)
            )
        return int(gone.rowcount)  # type: ignore[attr-defined]


def _delete(session: Session, table: type, key: object, old: object) -> int:
    ids = list(session.scalars(old))  # type: ignore[call-overload]
    if ids:
        session.execute(delete(table).where(key.in_(ids)))  # type: ignore[attr-defined]
    return len(ids)


def _before(now: datetime, days: float) -> datetime:
    return now - timedelta(days=days)
