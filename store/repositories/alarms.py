"""The states of sequential alarms, one per model and stream."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import AlarmRow


@dataclass(frozen=True)
class AlarmRecord:
    """The state of one alarm as JSON; `ranked_among` is the hash of the rows it ranks among."""

    model_sha256: str
    stream: str
    ranked_among: str
    state: str
    judged_until: datetime


class AlarmRepository:
    """Every alarm."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_model(self, model_sha256: str) -> dict[str, AlarmRecord]:
        """The alarms of one model by stream."""
        query = select(AlarmRow).where(AlarmRow.model_sha256 == model_sha256)
        with self._database.reading() as session:
            return {row.stream: _record(row) for row in session.scalars(query)}

    def all(self) -> list[AlarmRecord]:
        """Every alarm."""
        with self._database.reading() as session:
            query = select(AlarmRow).order_by(AlarmRow.model_sha256, AlarmRow.stream)
            return [_record(row) for row in session.scalars(query)]

    def save(self, session: Session, record: AlarmRecord) -> None:
        """Write an alarm as it is now, in the caller's transaction."""
        session.merge(
            AlarmRow(
                model_sha256=record.model_sha256,
                stream=record.stream,
                ranked_among=record.ranked_among,
                state=record.state,
                judged_until=record.judged_until,
            )
        )
        session.flush()

    def forget(self, session: Session, model_sha256: str) -> None:
        """Start the alarms of a model anew, in the caller's transaction."""
        session.execute(delete(AlarmRow).where(AlarmRow.model_sha256 == model_sha256))


def _record(row: AlarmRow) -> AlarmRecord:
    return AlarmRecord(row.model_sha256, row.stream, row.ranked_among, row.state, row.judged_until)
