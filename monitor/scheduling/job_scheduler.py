"""Recurring jobs on APScheduler, which go on when the machine's clock is set.

APScheduler waits for instants of the wall clock: where that is set back by an hour, nothing would run for an hour. So the
scheduler wakes at least once a second and compares the wall clock with one that nobody sets (`ClockWatch`). Where they
have parted, each job runs at once and from then on at its interval by the new wall clock.

Run times that were missed, as while a machine slept, are made up for by one run (coalesce), however late it is (no misfire
grace time): a run only looks up what is due, so that a late one is worth as much as one in time.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from monitor.scheduling.clock_watch import ClockWatch
from monitor.scheduling.job_threads import JobThreads
from store.clock import utc_now

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_CLOCK_CHECKS = 1.0
# How long the end of a job that runs `until_the_end` is waited for.
SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class RecurringJob:
    """Something that is done every so many seconds, one run at a time.

    Args:
        name: of the job, for people and for APScheduler.
        seconds: from the beginning of one run to the beginning of the next; a run that takes longer skips some.
        run: what is done; what it raises is logged and counted, and the next run comes as usual.
        at_once: begin with a run, not with a wait.
        until_the_end: when jobs are stopped, go on until the others have ended.
    """

    name: str
    seconds: float
    run: Callable[[], object]
    at_once: bool = False
    until_the_end: bool = False


class ClockFollowingScheduler(BackgroundScheduler):  # type: ignore[misc]
    """APScheduler's scheduler, which notices at each of its wake-ups whether the clock was set."""

    def __init__(self, clock_watch: ClockWatch, **options: object) -> None:
        self._clock_watch = clock_watch
        super().__init__(**options)

    def _process_jobs(self) -> float:
        # Before due jobs are looked for: a clock set from 1970 to the present has passed more run times than memory holds.
        jump = self._clock_watch.measure_jump()
        if jump is not None:
            logger.warning("the clock of this machine was set by %+.1f seconds; all jobs run now", jump.total_seconds())
            self._run_all_now()
        wait_seconds: float | None = super()._process_jobs()
        return min(SECONDS_BETWEEN_CLOCK_CHECKS, SECONDS_BETWEEN_CLOCK_CHECKS if wait_seconds is None else wait_seconds)

    def _run_all_now(self) -> None:
        for job in self.get_jobs():
            # Another thread may be stopping it.
            with suppress(JobLookupError):
                job.modify(next_run_time=utc_now())


class JobScheduler:
    """Runs jobs again and again, each in a thread of its own, until stopped.

    Attributes:
        scheduler: APScheduler's, with one job of each name.
        failures: how many runs of each job have raised an exception.
    """

    def __init__(self, jobs: Sequence[RecurringJob], clock_watch: ClockWatch | None = None) -> None:
        self._jobs = tuple(jobs)
        self._threads = JobThreads()
        self.failures: Counter[str] = Counter()
        # Its own lines tell of every run, and of every one that is left out while a long one goes on.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        # What a job raises is logged below.
        logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)
        self.scheduler = ClockFollowingScheduler(
            clock_watch or ClockWatch(),
            timezone=UTC,
            jobstores={"default": MemoryJobStore()},
            executors={"default": self._threads},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self.scheduler.add_listener(self._count_failure, EVENT_JOB_ERROR)
        for job in self._jobs:
            first_run = utc_now() + timedelta(seconds=0.0 if job.at_once else job.seconds)
            trigger = IntervalTrigger(seconds=job.seconds, start_date=first_run, timezone=UTC)
            self.scheduler.add_job(job.run, trigger, id=job.name, name=job.name, next_run_time=first_run)

    def start(self) -> None:
        """Begin."""
        self.scheduler.start()

    def stop(self) -> None:
        """Let what is running end, and begin no more."""
        last = [job.name for job in self._jobs if job.until_the_end]
        others = [job.name for job in self._jobs if not job.until_the_end]
        for name in others:
            self.scheduler.remove_job(name)
        self._threads.wait(others)
        self.scheduler.shutdown(wait=False)
        self._threads.wait(last, SECONDS_TO_END)

    def _count_failure(self, event: JobExecutionEvent) -> None:
        self.failures[event.job_id] += 1
        logger.error(
            "%s failed (%d since the start); the next time tries again",
            event.job_id,
            self.failures[event.job_id],
            exc_info=event.exception,
        )
