"""Due jobs and who does them: any number of monitors on one database do each due job once.

Invariants:

1. A job and a due time are one row, made by the process that comes first; there can't be a second row.
2. Only the process that holds an unexpired lease on a row may work at it. Leases are timed by the database's clock
   alone, so that clocks that differ do no harm.
3. Each time a row changes hands its token grows. A result is written in a transaction that first locks the row and
   compares tokens (`Lease.fence`): a holder that was suspended past its lease, and resumes, writes nothing.
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

from sqlalchemy import Select, and_, delete, func, or_, select, update
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
    """The fence of a monitor that runs alone: it lets everything pass."""


@dataclass(frozen=True)
class JobRun:
    """One due time of one job. `holder` holds or did it, `token` counts how often it was begun, and `done_at` is None until
    it is done."""

    job: str
    due_at: datetime
    holder: str
    token: int
    done_at: datetime | None


class JobRepository:
    """Every due time of every job.

    Args:
        database: the database that monitors share.
        holder: a name for this process; by default host and process id.
    """

    def __init__(self, database: Database, holder: str | None = None) -> None:
        self._database = database
        self._holder = holder or f"{socket.gethostname()}:{os.getpid()}"

    def now(self) -> datetime:
        """The present instant by the database's clock, which decides what is due.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._database.reading() as session:
            return self._database.clock(session)

    def take(self, job: str, due_at: datetime, *, seconds: float = LEASE_SECONDS) -> "Lease | None":
        """Lease a due time to this process; None if it is done, given up, or held by another.

        Raises:
            StoreUnavailable: the database does not answer; nothing was leased.
        """
        with self._database.writing() as session:
            now = self._database.clock(session)
            insert: Any = sqlite_insert if self._database.is_sqlite else postgresql_insert
            values = {"token": 1, "holder": self._holder, "lease_until": now + timedelta(seconds=seconds)}
            statement = insert(JobRunRow).values(job=job, due_at=due_at, **values)
            is_free = and_(JobRunRow.done_at.is_(None), JobRunRow.lease_until < now, JobRunRow.token < ATTEMPTS)
            token = session.scalar(
                statement.on_conflict_do_update(
                    index_elements=["job", "due_at"],
                    set_=values | {"token": JobRunRow.token + 1},
                    where=is_free,
                ).returning(JobRunRow.token)
            )
        return None if token is None else Lease(self, job, due_at, token, seconds)

    def last(self, job: str) -> JobRun | None:
        """The latest due time that was begun; None if none was."""
        with self._database.reading() as session:
            row = session.scalar(_latest_first(job).limit(1))
            return None if row is None else _record(row)

    def last_over(self, job: str) -> datetime | None:
        """The latest due time that nobody works at any more: done, given up, or left for a later one; None if none is."""
        latest = select(func.max(JobRunRow.due_at)).where(JobRunRow.job == job).scalar_subquery()
        with self._database.reading() as session:
            is_left = and_(
                JobRunRow.lease_until < self._database.clock(session),
                or_(JobRunRow.token >= ATTEMPTS, JobRunRow.due_at < latest),
            )
            row = session.scalar(_latest_first(job).where(or_(JobRunRow.done_at.is_not(None), is_left)).limit(1))
            return None if row is None else row.due_at

    def unfinished(self, job: str) -> datetime | None:
        """The latest due time, if it is not done, its lease has run out, and it may be begun again; else None."""
        with self._database.reading() as session:
            row = session.scalar(_latest_first(job).limit(1))
            if row is None or row.done_at is not None or row.token >= ATTEMPTS:
                return None
            return row.due_at if row.lease_until < self._database.clock(session) else None

    def all(self, job: str) -> list[JobRun]:
        """Every due time that is recorded, the latest first."""
        with self._database.reading() as session:
            return [_record(row) for row in session.scalars(_latest_first(job))]

    def forget_before(self, instant: datetime) -> int:
        """Delete due times older than an instant, and return how many."""
        with self._database.writing() as session:
            result = session.execute(delete(JobRunRow).where(JobRunRow.due_at < instant))
        return int(result.rowcount)  # type: ignore[attr-defined]

    def renew(self, job: str, due_at: datetime, token: int, seconds: float) -> bool:
        """Extend a lease; False if another process has taken it over."""
        with self._database.writing() as session:
            until = self._database.clock(session) + timedelta(seconds=seconds)
            held = self._held_by(job, due_at, token)
            renewed = session.scalar(
                update(JobRunRow).where(*held).values(lease_until=until).returning(JobRunRow.token)
            )
            return renewed is not None

    def fence(self, session: Session, job: str, due_at: datetime, token: int) -> None:
        """Check that a lease is still held, and lock its row: until the transaction ends no process can take it over.

        Raises:
            LeaseLost: another process has taken it over.
        """
        held = select(JobRunRow.token).where(*self._held_by(job, due_at, token)).with_for_update()
        if session.scalar(held) is None:
            raise LeaseLost(
                f"{job} of {due_at.isoformat()} was taken over by another monitor; nothing was written here."
            )

    def mark_done(self, job: str, due_at: datetime, token: int) -> None:
        """Record that a due time is done, if its lease is still held."""
        with self._database.writing() as session:
            session.execute(
                update(JobRunRow)
                .where(*self._held_by(job, due_at, token))
                .values(done_at=self._database.clock(session))
            )

    def _held_by(self, job: str, due_at: datetime, token: int) -> tuple[Any, ...]:
        """The condition for the row that is not done and has this token."""
        return (
            JobRunRow.job == job,
            JobRunRow.due_at == due_at,
            JobRunRow.token == token,
            JobRunRow.done_at.is_(None),
        )


@dataclass(frozen=True)
class Lease:
    """A due time that this process holds for `seconds`, unless it is renewed."""

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
        """Renew the lease while the block runs, and mark the job as done when it ends without an exception."""
        block_ended = threading.Event()

        def renew() -> None:
            while not block_ended.wait(self.seconds / 3):
                # The database is away for a moment; the lease lasts for two more attempts.
                with suppress(StoreUnavailable):
                    if not self.jobs.renew(self.job, self.due_at, self.token, self.seconds):
                        return

        renewing = threading.Thread(target=renew, name="lease", daemon=True)
        renewing.start()
        try:
            yield
            self.jobs.mark_done(self.job, self.due_at, self.token)
        finally:
            block_ended.set()
            renewing.join()


def _latest_first(job: str) -> Select[JobRunRow]:
    return select(JobRunRow).where(JobRunRow.job == job).order_by(JobRunRow.due_at.desc())


def _record(row: JobRunRow) -> JobRun:
    return JobRun(row.job, row.due_at, row.holder, row.token, row.done_at)
