"""Alerts, one for each model and check, and the events in which they changed state."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import AlertEventRow, AlertRow


class AlertState(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class AlertRecord:
    """The alert of one check on one model.

    `since` is when it entered its state, `last_seen` when a run last judged it, and `run_id` the run that last changed its
    state, which is the evidence.
    """

    id: UUID
    model_sha256: str
    check: str
    state: AlertState
    since: datetime
    last_seen: datetime
    run_id: UUID
    sentence: str


@dataclass(frozen=True)
class AlertEvent:
    """A change of state of an alert, which is sent to destinations. `id` is the message id that receivers see."""

    id: UUID
    alert_id: UUID
    model_sha256: str
    check: str
    at: datetime
    state: AlertState
    run_id: UUID
    sentence: str


class AlertRepository:
    """Every alert."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_model(self, model_sha256: str) -> dict[str, AlertRecord]:
        """The alerts of one model by check."""
        with self._database.reading() as session:
            rows = session.scalars(select(AlertRow).where(AlertRow.model_sha256 == model_sha256))
            return {row.check: _record(row) for row in rows}

    def lock_of_model(self, session: Session, model_sha256: str) -> dict[str, AlertRecord]:
        """The alerts of one model by check, locked until the caller's transaction ends."""
        rows = session.scalars(select(AlertRow).where(AlertRow.model_sha256 == model_sha256).with_for_update())
        return {row.check: _record(row) for row in rows}

    def save(self, session: Session, alert: AlertRecord) -> None:
        """Insert or update an alert, in the caller's transaction."""
        row = session.get(AlertRow, alert.id)
        if row is None:
            row = AlertRow(id=alert.id, model_sha256=alert.model_sha256, check=alert.check)
            session.add(row)
        row.state, row.since, row.last_seen = alert.state.value, alert.since, alert.last_seen
        row.run_id, row.sentence = alert.run_id, alert.sentence
        session.flush()

    def add_event(self, session: Session, alert: AlertRecord, at: datetime) -> AlertEvent:
        """Record that an alert has entered its present state, in the caller's transaction."""
        event = AlertEvent(
            id=new_id(),
            alert_id=alert.id,
            model_sha256=alert.model_sha256,
            check=alert.check,
            at=at,
            state=alert.state,
            run_id=alert.run_id,
            sentence=alert.sentence,
        )
        session.add(
            AlertEventRow(
                id=event.id,
                alert_id=event.alert_id,
                at=event.at,
                state=event.state.value,
                run_id=event.run_id,
                sentence=event.sentence,
            )
        )
        session.flush()
        return event

    def all(self, state: AlertState | None = None) -> list[AlertRecord]:
        """Every alert, or those in one state; firing first, then the latest change first."""
        query = select(AlertRow).order_by(AlertRow.state, AlertRow.since.desc())
        if state is not None:
            query = query.where(AlertRow.state == state.value)
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(query)]

    def count_firing(self, model_sha256: str) -> int:
        """Count the firing alerts of one model."""
        query = select(func.count()).where(
            AlertRow.model_sha256 == model_sha256, AlertRow.state == AlertState.FIRING.value
        )
        with self._database.reading() as session:
            return session.scalar(query) or 0

    def events(self, *, run_id: UUID | None = None, limit: int = 100) -> list[AlertEvent]:
        """The latest changes of state, newest first; those that one run made if `run_id` is given."""
        query = (
            select(AlertEventRow, AlertRow)
            .join(AlertRow, AlertRow.id == AlertEventRow.alert_id)
            .order_by(AlertEventRow.at.desc(), AlertEventRow.id.desc())
            .limit(limit)
        )
        if run_id is not None:
            query = query.where(AlertEventRow.run_id == run_id)
        with self._database.reading() as session:
            return [event_record(event, alert) for event, alert in session.execute(query)]


def event_record(event: AlertEventRow, alert: AlertRow) -> AlertEvent:
    """The event of a row and the row of its alert."""
    return AlertEvent(
        id=event.id,
        alert_id=alert.id,
        model_sha256=alert.model_sha256,
        check=alert.check,
        at=event.at,
        state=AlertState(event.state),
        run_id=event.run_id,
        sentence=event.sentence,
    )


def _record(row: AlertRow) -> AlertRecord:
    return AlertRecord(
        id=row.id,
        model_sha256=row.model_sha256,
        check=row.check,
        state=AlertState(row.state),
        since=row.since,
        last_seen=row.last_seen,
        run_id=row.run_id,
        sentence=row.sentence,
    )
