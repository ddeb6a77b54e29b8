"""A job that is done once for each of its due times, whichever monitor comes first.

What is due, who does it and who takes over are decided in the database: see `store/repositories/jobs.py`.
"""

import logging
from collections.abc import Callable
from datetime import datetime

from monitor.scheduling.due_times import DueAfterJob, DueTimes
from store.errors import LeaseLost
from store.repositories.jobs import JobRepository, Lease

logger = logging.getLogger(__name__)


class LeasedJob:
    """One job of all monitors of a database.

    Args:
        name: of the job, in the database.
        due_times: when it is due.
        jobs: which due times were begun, and by whom; shared by every monitor.
        run: does the work; fences every transaction with its lease.
        lease_seconds: a monitor that says nothing for so long has lost the work to another one.
    """

    def __init__(
        self,
        name: str,
        due_times: DueTimes | DueAfterJob,
        jobs: JobRepository,
        run: Callable[[Lease], object],
        lease_seconds: float,
    ) -> None:
        self._name, self._due_times, self._jobs, self._run = name, due_times, jobs, run
        self._lease_seconds = lease_seconds
        self._started_at: datetime | None = None

    def run_if_due(self) -> bool:
        """Do what is due, if no other monitor does, and say whether it was done here.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        lease = self._take()
        if lease is None:
            return False
        try:
            with lease.held():
                self._run(lease)
        except LeaseLost as lost:
            logger.warning("%s", lost)
        return True

    def _take(self) -> Lease | None:
        present = self._jobs.now()
        # A first monitor's first run comes with the first due time after its start.
        self._started_at = self._started_at or present
        last_run = self._jobs.last(self._name)
        due_at = self._due_times.latest(self._started_at if last_run is None else last_run.due_at, present)
        if due_at is None:
            # Whoever began the last one may be gone.
            due_at = self._jobs.unfinished(self._name)
        return None if due_at is None else self._jobs.take(self._name, due_at, seconds=self._lease_seconds)
