"""Who is running: every gateway and monitor says so every few seconds, by the database's clock."""

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

# A process that was not seen for so long is forgotten.
FORGOTTEN_AFTER = timedelta(days=1)


class ProcessKind(StrEnum):
    GATEWAY = "gateway"
    MONITOR = "monitor"


@dataclass(frozen=True)
class ProcessRecord:
    """A process as it was last seen; `silent_seconds` is how long ago that is. `state` is what it said of itself."""

    id: UUID
    kind: ProcessKind
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    silent_seconds: float
    state: dict[str, Any]


class ProcessRepository:
    """Every process that runs, or has ended without saying so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._id = new_id()

    def seen(self, kind: ProcessKind, state: dict[str, Any]) -> None:
        """Say that this process runs, and how it is.

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
            session.execute(delete(ProcessRow).where(ProcessRow.seen_at < now - FORGOTTEN_AFTER))

    def ended(self) -> None:
        """Say that this process ends as it was asked to."""
        with self._database.writing() as session:
            session.execute(delete(ProcessRow).where(ProcessRow.id == self._id))

    def all(self) -> list[ProcessRecord]:
        """Every process, the latest seen first."""
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
