"""Where jobs run: an executor for APScheduler that gives each run a thread of its own."""

import threading
import time
from collections.abc import Collection
from datetime import datetime

from apscheduler.events import JobExecutionEvent
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job


class JobThreads(BaseExecutor):  # type: ignore[misc]
    """Runs each job in a daemon thread that is named after it.

    APScheduler's own executor has a fixed number of threads, and Python waits for those at its end, however long a
    database or a destination lets one of them hang. Here no job waits for another, and a process ends when it is told to.
    """

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, threading.Thread] = {}

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        # A job has one instance at a time, so that its earlier thread has nothing left to do.
        thread = threading.Thread(target=self._run, args=(job, run_times), name=job.name, daemon=True)
        thread.start()
        self._running[job.id] = thread

    def _run(self, job: Job, run_times: list[datetime]) -> None:
        events: list[JobExecutionEvent] = []
        try:
            # What the job raises is one of the events.
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        finally:
            self._run_job_success(job.id, events)

    def wait(self, names: Collection[str], timeout_seconds: float | None = None) -> None:
        """Wait until none of these jobs runs; by default however long that takes."""
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        for name in names:
            thread = self._running.get(name)
            if thread is not None:
                thread.join(None if until is None else max(until - time.monotonic(), 0.0))
