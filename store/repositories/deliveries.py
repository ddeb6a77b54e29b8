"""The outbox: messages owed to destinations, written in the transaction that changed the alert.

A process that dies between the change and the send leaves a pending row, and the next one sends it, with the same
message id: at least once, and a receiver that remembers ids sees it once.
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
    """Every message that is owed, was sent, or was given up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owe(self, session: Session, event: AlertEvent, destinations: Sequence[str]) -> None:
        """Owe an event to each destination, in the caller's transaction."""
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
        """What should be sent now, the oldest first."""
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
        """Take a due message for oneself until an instant; False if another process has just taken it.

        A process that dies with a message in hand leaves it due again at that instant.
        """
        with self._database.writing() as session:
            taken = session.scalar(
                update(DeliveryRow)
                .where(
                    DeliveryRow.id == delivery.id,
                    DeliveryRow.state == DeliveryState.PENDING.value,
                    DeliveryRow.due_at == delivery.due_at,
                )
                .values(due_at=until)
                .returning(DeliveryRow.id)
            )
            return taken is not None

    def sent(self, delivery_id: UUID) -> None:
        """Note that a destination took the message."""
        self._change(delivery_id, DeliveryState.SENT, None, None)

    def retry(self, delivery_id: UUID, error: str, due_at: datetime) -> None:
        """Note that a send failed and when to try again."""
        self._change(delivery_id, DeliveryState.PENDING, error, due_at)

    def give_up(self, delivery_id: UUID, error: str) -> None:
        """Note that a message won't be sent any more: a dead letter, which the alerts page counts."""
        self._change(delivery_id, DeliveryState.DEAD, error, None)

    def counts(self) -> dict[DeliveryState, int]:
        """How many messages are in each state."""
        query = select(DeliveryRow.state, func.count()).group_by(DeliveryRow.state)
        with self._database.reading() as session:
            found = {DeliveryState(state): number for state, number in session.execute(query)}
        return {state: found.get(state, 0) for state in DeliveryState}

    def _change(self, delivery_id: UUID, state: DeliveryState, error: str | None, due_at: datetime | None) -> None:
        with self._database.writing() as session:
            row = session.get_one(DeliveryRow, delivery_id)
            row.state, row.last_error = state.value, error
            row.attempts += 1
            if due_at is not None:
                row.due_at = due_at
