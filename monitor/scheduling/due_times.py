"""When a job of the monitor is due: on a fixed grid of minutes, by a crontab line as APScheduler reads it, or after another.

Monitors that were started at different moments mean the same due times.
"""

from datetime import datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from monitor.settings import MonitorSettings
from store.clock import EPOCH
from store.errors import BadSettings
from store.repositories.jobs import JobRepository

_SMALLEST_STEP = timedelta(microseconds=1)


class DueTimes:
    """The due times that the settings ask for.

    Raises:
        BadSettings: the crontab line can't be read.
    """

    def __init__(self, settings: MonitorSettings) -> None:
        self._interval = timedelta(minutes=settings.every_minutes)
        self._cron = None if settings.cron is None else _parse_cron(settings.cron)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The latest due time after one instant and not after another: those missed in a long pause become one."""
        if self._cron is None:
            due_at = EPOCH + (until - EPOCH) // self._interval * self._interval
            return due_at if due_at > after else None
        latest, search_from = None, after + _SMALLEST_STEP
        while (due_at := self._cron.get_next_fire_time(None, search_from)) is not None and due_at <= until:
            latest, search_from = due_at, due_at + _SMALLEST_STEP
        return latest


class DueAfterJob:
    """The due times of another job, each as soon as that job's work is over: done, or given up.

    Args:
        job: the name of the other job.
        jobs: which due times were begun; shared by every monitor.
    """

    def __init__(self, job: str, jobs: JobRepository) -> None:
        self._job, self._jobs = job, jobs

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The other job's latest due time that is over, if it lies after one instant and not after another.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        due_at = self._jobs.last_over(self._job)
        return due_at if due_at is not None and after < due_at <= until else None


def _parse_cron(line: str) -> CronTrigger:
    try:
        return CronTrigger.from_crontab(line, timezone="UTC")
    except ValueError as error:
        raise BadSettings(
            f"The crontab line {line!r} can't be read: {error}. "
            'Write five fields: minute hour day month weekday, such as "0 6 * * *".'
        ) from error
