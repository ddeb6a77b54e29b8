"""Heartbeats: every gateway and monitor records every few seconds that it runs, by the database's clock."""

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select

from store.clock import new_id
from store.database.engine import Database
from store.database.tables import ProcessRow

# A process without a heartbeat for so long is deleted.
DELETED_AFTER = timedelta(days=1)


class ProcessKind(StrEnum):
    GATEWAY = "gateway"
    MONITOR = "monitor"


@dataclass(frozen=True)
class ProcessRecord:
    """A process as of its last heartbeat, `silent_seconds` ago. `state` is what it reported of itself."""

    id: UUID
    kind: ProcessKind
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    silent_seconds: float
    state: dict[str, Any]


class ProcessRepository:
    """Every process that runs, or has ended without recording its end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = new_id()

    def record_heartbeat(self, kind: ProcessKind, state: dict[str, Any]) -> None:
        """Record that this process runs, and its state.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._database.writing() as session:
            now = self._database.clock(session)
            row = session.get(ProcessRow, self._id)
            if row is None:
                row = ProcessRow(
                    id=self._id, kind=kind.value, host=socket.gethostname(), pid=os.getpid(), started_at=now
                )
                session.add(row)
            row.seen_at, row.state = now, state
            session.execute(delete(ProcessRow).where(ProcessRow.seen_at < now - DELETED_AFTER))

    def record_end(self) -> None:
        """Record that this process ends regularly."""
        with self._database.writing() as session:
            session.execute(delete(ProcessRow).where(ProcessRow.id == self._id))

    def all(self) -> list[ProcessRecord]:
        """Every process, the one with the latest heartbeat first."""
        with self._database.reading() as session:
            now = self._database.clock(session)
            return [
                ProcessRecord(
                    row.id,
                    ProcessKind(row.kind),
                    row.host,
                    row.pid,
                    row.started_at,
                    row.seen_at,
                    max((now - row.seen_at).total_seconds(), 0.0),
                    row.state,
                )
                for row in session.scalars(select(ProcessRow).order_by(ProcessRow.seen_at.desc()))
            ]
