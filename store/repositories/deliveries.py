"""The outbox: messages owed to destinations, written in the transaction that changed the alert.

A process that dies between the change and the sending leaves a pending row, which another process sends with the same
message id. So a message is sent at least once, and a receiver that remembers ids takes it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import AlertEventRow, AlertRow, DeliveryRow
from store.repositories.alerts import AlertEvent, event_record


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    DEAD = "dead"


@dataclass(frozen=True)
class Delivery:
    """One message owed to one destination."""

    id: UUID
    event: AlertEvent
    destination: str
    attempts: int
    due_at: datetime


class DeliveryRepository:
    """Every message that is owed, was sent, or was given up on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owe(self, session: Session, event: AlertEvent, destinations: Sequence[str]) -> None:
        """Record that an event is owed to each destination, in the caller's transaction."""
        for destination in destinations:
            session.add(
                DeliveryRow(
                    id=new_id(),
                    event_id=event.id,
                    destination=destination,
                    state=DeliveryState.PENDING.value,
                    attempts=0,
                    due_at=event.at,
                )
            )
        session.flush()

    def due(self, now: datetime, *, limit: int = 100) -> list[Delivery]:
        """The messages that are due, the oldest first."""
        query = (
            select(DeliveryRow, AlertEventRow, AlertRow)
            .join(AlertEventRow, AlertEventRow.id == DeliveryRow.event_id)
            .join(AlertRow, AlertRow.id == AlertEventRow.alert_id)
            .where(DeliveryRow.state == DeliveryState.PENDING.value, DeliveryRow.due_at <= now)
            .order_by(AlertEventRow.at, DeliveryRow.id)
            .limit(limit)
        )
        with self._database.reading() as session:
            return [
                Delivery(
                    delivery.id, event_record(event, alert), delivery.destination, delivery.attempts, delivery.due_at
                )
                for delivery, event, alert in session.execute(query)
            ]

    def claim(self, delivery: Delivery, until: datetime) -> bool:
        """Claim a due message for this process until an instant; False if another process has just claimed it.

        If this process dies before it has sent the message, the message is due again at that instant.
        """
        with self._database.writing() as session:
            claimed = session.scalar(
                update(DeliveryRow)
                .where(
                    DeliveryRow.id == delivery.id,
                    DeliveryRow.state == DeliveryState.PENDING.value,
                    DeliveryRow.due_at == delivery.due_at,
                )
                .values(due_at=until)
                .returning(DeliveryRow.id)
            )
            return claimed is not None

    def mark_sent(self, delivery_id: UUID) -> None:
        """Record that a destination accepted the message."""
        self._record_attempt(delivery_id, DeliveryState.SENT, None, None)

    def retry(self, delivery_id: UUID, error: str, due_at: datetime) -> None:
        """Record that sending failed, and when to try again."""
        self._record_attempt(delivery_id, DeliveryState.PENDING, error, due_at)

    def give_up(self, delivery_id: UUID, error: str) -> None:
        """Record that a message won't be sent any more: a dead letter, which the alerts page counts."""
        self._record_attempt(delivery_id, DeliveryState.DEAD, error, None)

    def counts(self) -> dict[DeliveryState, int]:
        """Count the messages in each state."""
        query = select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        with self._database.reading() as session:
            counts = {DeliveryState(state): count for state, count in session.execute(query)}
        return {state: counts.get(state, 0) for state in DeliveryState}

    def _record_attempt(
        self, delivery_id: UUID, state: DeliveryState, error: str | None, due_at: datetime | None
    ) -> None:
        with self._database.writing() as session:
            row = session.get_one(DeliveryRow, delivery_id)
            row.state, row.last_error = state.value, error
            row.attempts += 1
            if due_at is not None:
                row.due_at = due_at
