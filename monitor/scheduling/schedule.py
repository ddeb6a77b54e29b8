"""The clock of the monitor: what is due is looked up, and done by whichever monitor takes it first.

This process only ticks. What is due, who does it and who takes over are decided in the database: see
`store/repositories/jobs.py`.
Due times lie on a fixed grid (or a crontab's, as APScheduler reads it), so that monitors started at different moments
mean the same ones; those missed in a long pause become one, the latest. APScheduler's own scheduler waits for instants
of the machine's clock, and stands still for an hour where that is set back by one.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from monitor.periodic import PeriodicTask
from monitor.settings import MonitorSettings
from store.errors import BadSettings, LeaseLost
from store.repositories.jobs import JobRepository, Lease

logger = logging.getLogger(__name__)

LOOK = "look"
DELIVERY_SECONDS = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_TICK_SECONDS = 5.0


class Due:
    """When looks are due.

    Raises:
        BadSettings: the crontab line can't be read.
    """

    def __init__(self, settings: MonitorSettings) -> None:
        self._every = timedelta(minutes=settings.every_minutes)
        self._cron = None if settings.cron is None else _cron(settings.cron)

    def latest(self, after: datetime, now: datetime) -> datetime | None:
        """The latest due time after one instant and not after another."""
        if self._cron is None:
            due = _EPOCH + (now - _EPOCH) // self._every * self._every
            return due if due > after else None
        found, moment = None, after + timedelta(microseconds=1)
        while (due := self._cron.get_next_fire_time(None, moment)) is not None and due <= now:
            found, moment = due, due + timedelta(microseconds=1)
        return found


class Schedule:
    """Runs `look` for each due time and `deliver` every few seconds, in two threads, until stopped.

    A look that takes longer than its interval is not started twice.

    Args:
        settings: when, and how long a lease lasts.
        jobs: shared by every monitor.
        look: does the work; fences every transaction with its lease.
        deliver: sends what is owed; every monitor does, as each message is taken by one.

    Raises:
        BadSettings: the crontab line can't be read.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        jobs: JobRepository,
        look: Callable[[Lease], object],
        deliver: Callable[[], object],
    ) -> None:
        self._settings, self._jobs, self._look = settings, jobs, look
        self._due = Due(settings)
        self._started: datetime | None = None
        tick = min(_LONGEST_TICK_SECONDS, settings.every_minutes * 60 / 10)
        self._repeating = (
            PeriodicTask("the monitor's look", max(tick, 0.05), self.tick),
            PeriodicTask("delivery", DELIVERY_SECONDS, deliver),
        )

    def tick(self) -> bool:
        """Do what is due, if no other monitor does, and say whether anything was."""
        now = self._jobs.now()
        # A first monitor's first look comes with the first due time after its start.
        self._started = self._started or now
        last = self._jobs.last(LOOK)
        due = self._due.latest(self._started if last is None else last.due_at, now)
        if due is None:
            # Whoever began the last one may be gone.
            due = self._jobs.unfinished(LOOK)
        lease = None if due is None else self._jobs.take(LOOK, due, seconds=self._settings.lease_seconds)
        if lease is None:
            return False
        try:
            with lease.held():
                self._look(lease)
        except LeaseLost as lost:
            logger.warning("%s", lost)
        return True

    def start(self) -> None:
        """Start ticking."""
        for one in self._repeating:
            one.start()

    def stop(self) -> None:
        """Stop, after what is running has ended."""
        for one in self._repeating:
            one.stop()


def _cron(line: str) -> CronTrigger:
    try:
        return CronTrigger.from_crontab(line, timezone="UTC")
    except ValueError as error:
        raise BadSettings(
            f"The crontab line {line!r} can't be read: {error}. "
            'Write five fields: minute hour day month weekday, such as "0 6 * * *".'
        ) from error
