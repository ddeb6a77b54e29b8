"""What people are told of the installation itself: written before it is sent, sent until every destination has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import SystemAlertRow
from store.repositories.alerts import AlertState


@dataclass(frozen=True)
class SystemAlert:
    """One subject as it stands; `owed` are the destinations that have not been told, `due_at` when to try them."""

    subject: str
    message_id: UUID
    state: AlertState
    since: datetime
    sentence: str
    owed: list[str]
    attempts: int
    due_at: datetime


class SystemAlertRepository:
    """Every subject that was ever told of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(self, subject: str, sentence: str | None, destinations: Sequence[str], now: datetime) -> bool:
        """Let a subject fire with a sentence, or resolve with None; whether its state has changed.

        Whoever comes first of several processes changes it, and owes the message to every destination.
        """
        with self._database.writing() as session:
            row = session.get(SystemAlertRow, subject, with_for_update=True)
            firing = sentence is not None
            before = row is not None and row.state == AlertState.FIRING.value
            if firing == before:
                if row is not None and sentence is not None:
                    row.sentence = sentence
                return False
            if row is None:
                row = SystemAlertRow(subject=subject)
                session.add(row)
                row.sentence = ""
            row.message_id, row.since, row.attempts, row.due_at = new_id(), now, 0, now
            row.state = (AlertState.FIRING if firing else AlertState.RESOLVED).value
            row.sentence = sentence or row.sentence
            row.owed = list(destinations)
        return True

    def all(self, state: AlertState | None = None) -> list[SystemAlert]:
        """Every subject, the latest change first; those in one state if given."""
        query = select(SystemAlertRow).order_by(SystemAlertRow.since.desc())
        if state is not None:
            query = query.where(SystemAlertRow.state == state.value)
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def due(self, now: datetime) -> list[SystemAlert]:
        """What should be sent now."""
        return [alert for alert in self.all() if alert.owed and alert.due_at <= now]

    def claim(self, alert: SystemAlert, until: datetime) -> bool:
        """Take a due alert for oneself until an instant; False if another process has just taken it."""
        with self._database.writing() as session:
            taken = session.scalar(
                update(SystemAlertRow)
                .where(
                    SystemAlertRow.subject == alert.subject,
                    SystemAlertRow.message_id == alert.message_id,
                    SystemAlertRow.due_at == alert.due_at,
                )
                .values(due_at=until, attempts=SystemAlertRow.attempts + 1)
                .returning(SystemAlertRow.subject)
            )
        return taken is not None

    def record_attempt(self, alert: SystemAlert, owed: Sequence[str], due_at: datetime) -> None:
        """Note which destinations are still to be told, and when to try them again."""
        with self._database.writing() as session:
            session.execute(
                update(SystemAlertRow)
                .where(SystemAlertRow.subject == alert.subject, SystemAlertRow.message_id == alert.message_id)
                .values(owed=list(owed), due_at=due_at)
            )


def _record(row: SystemAlertRow) -> SystemAlert:
    return SystemAlert(
        row.subject,
        row.message_id,
        AlertState(row.state),
        row.since,
        row.sentence,
        list(row.owed),
        row.attempts,
        row.due_at,
    )
