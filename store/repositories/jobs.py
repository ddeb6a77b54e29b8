"""Which process does what is due: any number of monitors on one database do each due job once.

Invariants:

1. A job and a due time are one row, made by whoever comes first; a second row can't be.
2. Who holds an unexpired lease on a row is the only one that may work at it. Leases are timed by the database's clock
   alone, so that clocks that differ do no harm.
3. Each time a row changes hands its token grows. A result is written in a transaction that first locks the row and
   compares tokens (`Lease.fence`): a holder that was frozen past its lease, and goes on, writes nothing.
4. A row is done only in such a transaction, or after it by the same holder; a row that is not done is taken over when its
   lease has run out, at most `attempts` times.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from store.database.engine import Database
from store.database.tables import JobRunRow
from store.errors import LeaseLost, StoreUnavailable

# Called first in every transaction that writes a result; raises where another monitor has taken over.
Fence = Callable[[Session], None]

LEASE_SECONDS = 30.0
ATTEMPTS = 3


def no_fence(_transaction: Session) -> None:
    """The fence of a monitor that shares its work with no other."""


@dataclass(frozen=True)
class JobRun:
    """One due time of one job: when it is due, who holds or did it, how often it was begun, and when it was done."""

    job: str
    due_at: datetime
    holder: str
    token: int
    done_at: datetime | None


class JobRepository:
    """Every due time of every job.

    Args:
        database: where.
        holder: names this process to people.
    """

    def __init__(self, database: Database, holder: str | None = None) -> None:
        self._database = database
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}"

    def now(self) -> datetime:
        """The instant that decides what is due: the database's.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._database.reading() as session:
            return self._database.clock(session)

    def take(self, job: str, due_at: datetime, *, seconds: float = LEASE_SECONDS) -> "Lease | None":
        """Take a due time for oneself; None if it is done, given up, or another holds it.

        Raises:
            StoreUnavailable: the database does not answer; nothing was taken.
        """
        with self._database.writing() as session:
            now = self._database.clock(session)
            insert: Any = sqlite_insert if self._database.is_sqlite else postgresql_insert
            values = {"token": 1, "holder": self._holder, "lease_until": now + timedelta(seconds=seconds)}
            statement = insert(JobRunRow).values(job=job, due_at=due_at, **values)
            free = and_(JobRunRow.done_at.is_(None), JobRunRow.lease_until < now, JobRunRow.token < ATTEMPTS)
            token = session.scalar(
                statement.on_conflict_do_update(
                    index_elements=["job", "due_at"],
                    set_=values | {"token": JobRunRow.token + 1},
                    where=free,
                ).returning(JobRunRow.token)
            )
        return None if token is None else Lease(self, job, due_at, token, seconds)

    def last(self, job: str) -> JobRun | None:
        """The latest due time that was begun."""
        with self._database.reading() as session:
            row = session.scalar(_latest_first(job).limit(1))
            return None if row is None else _record(row)

    def unfinished(self, job: str) -> datetime | None:
        """The latest due time whose holder was lost, if it is free to be taken over."""
        with self._database.reading() as session:
            row = session.scalar(_latest_first(job).limit(1))
            if row is None or row.done_at is not None or row.token >= ATTEMPTS:
                return None
            return row.due_at if row.lease_until < self._database.clock(session) else None

    def all(self, job: str) -> list[JobRun]:
        """Every due time that is still known, the latest first."""
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(_latest_first(job))]

    def forget_before(self, instant: datetime) -> int:
        """Delete due times older than an instant, and say how many."""
        with self._database.writing() as session:
            result = session.execute(delete(JobRunRow).where(JobRunRow.due_at < instant))
        return int(result.rowcount)  # type: ignore[attr-defined]

    def renew(self, job: str, due_at: datetime, token: int, seconds: float) -> bool:
        """Hold it for longer; False if it has changed hands."""
        with self._database.writing() as session:
            until = self._database.clock(session) + timedelta(seconds=seconds)
            mine = self._mine(job, due_at, token)
            kept = session.scalar(update(JobRunRow).where(*mine).values(lease_until=until).returning(JobRunRow.token))
            return kept is not None

    def fence(self, session: Session, job: str, due_at: datetime, token: int) -> None:
        """Go on only if it is still held; until the transaction ends nobody can take it over."""
        mine = select(JobRunRow.token).where(*self._mine(job, due_at, token)).with_for_update()
        if session.scalar(mine) is None:
            raise LeaseLost(
                f"{job} of {due_at.isoformat()} was taken over by another monitor; nothing was written here."
            )

    def done(self, job: str, due_at: datetime, token: int) -> None:
        """Note that it is done."""
        with self._database.writing() as session:
            session.execute(
                update(JobRunRow).where(*self._mine(job, due_at, token)).values(done_at=self._database.clock(session))
            )

    def _mine(self, job: str, due_at: datetime, token: int) -> tuple[Any, ...]:
        return (
            JobRunRow.job == job,
            JobRunRow.due_at == due_at,
            JobRunRow.token == token,
            JobRunRow.done_at.is_(None),
        )


@dataclass(frozen=True)
class Lease:
    """A due time that this process holds."""

    jobs: JobRepository
    job: str
    due_at: datetime
    token: int
    seconds: float

    def fence(self, transaction: Session) -> None:
        """Call first in every transaction that writes a result.

        Raises:
            LeaseLost: another process has taken over; write nothing.
        """
        self.jobs.fence(transaction, self.job, self.due_at, self.token)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the lease while the block runs, and note the job as done when it ends without an exception."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(self.seconds / 3):
                # Away for a moment; the lease holds for two more tries.
                with suppress(StoreUnavailable):
                    if not self.jobs.renew(self.job, self.due_at, self.token, self.seconds):
                        return

        renewing = threading.Thread(target=renew, name="lease", daemon=True)
        renewing.start()
        try:
            yield
            self.jobs.done(self.job, self.due_at, self.token)
        finally:
            over.set()
            renewing.join()


def _latest_first(job: str) -> Select[JobRunRow]:
    return select(JobRunRow).where(JobRunRow.job == job).order_by(JobRunRow.due_at.desc())


def _record(row: JobRunRow) -> JobRun:
    return JobRun(row.job, row.due_at, row.holder, row.token, row.done_at)
