"""Alerts about the installation itself, recorded before they are sent, and sent until every destination has them."""

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
    """The alert on one subject. `owed` are the destinations that have not received it, `due_at` is when to try them."""

    subject: str
    message_id: UUID
    state: AlertState
    since: datetime
    sentence: str
    owed: list[str]
    attempts: int
    due_at: datetime


class SystemAlertRepository:
    """Every subject that ever had an alert."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def change(self, subject: str, sentence: str | None, destinations: Sequence[str], now: datetime) -> bool:
        """Set a subject to firing with a sentence, or to resolved with None, and return whether its state changed.

        Of several processes the first changes it, and records that the message is owed to every destination.
        """
        with self._database.writing() as session:
            row = session.get(SystemAlertRow, subject, with_for_update=True)
            is_firing = sentence is not None
            was_firing = row is not None and row.state == AlertState.FIRING.value
            if is_firing == was_firing:
                if row is not None and sentence is not None:
                    row.sentence = sentence
                return False
            if row is None:
                row = SystemAlertRow(subject=subject)
                session.add(row)
                row.sentence = ""
            row.message_id, row.since, row.attempts, row.due_at = new_id(), now, 0, now
            row.state = (AlertState.FIRING if is_firing else AlertState.RESOLVED).value
            row.sentence = sentence or row.sentence
            row.owed = list(destinations)
        return True

    def all(self, state: AlertState | None = None) -> list[SystemAlert]:
        """The alerts on every subject, or those in one state; the latest change first."""
        query = select(SystemAlertRow).order_by(SystemAlertRow.since.desc())
        if state is not None:
            query = query.where(SystemAlertRow.state == state.value)
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def due(self, now: datetime) -> list[SystemAlert]:
        """The alerts that should be sent now."""
        return [alert for alert in self.all() if alert.owed and alert.due_at <= now]

    def claim(self, alert: SystemAlert, until: datetime) -> bool:
        """Claim a due alert for this process until an instant; False if another process has just claimed it."""
        with self._database.writing() as session:
            claimed = session.scalar(
                update(SystemAlertRow)
                .where(
                    SystemAlertRow.subject == alert.subject,
                    SystemAlertRow.message_id == alert.message_id,
                    SystemAlertRow.due_at == alert.due_at,
                )
                .values(due_at=until, attempts=SystemAlertRow.attempts + 1)
                .returning(SystemAlertRow.subject)
            )
        return claimed is not None

    def record_attempt(self, alert: SystemAlert, owed: Sequence[str], due_at: datetime) -> None:
        """Record which destinations have not received the message yet, and when to try them again."""
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
