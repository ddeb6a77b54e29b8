"""The clock of the monitor: one process, one tick at a time."""

import logging
from collections.abc import Callable

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from monitor.settings import MonitorSettings
from store.errors import BadSettings

logger = logging.getLogger(__name__)

DELIVERY_SECONDS = 10


class Schedule:
    """Runs `look` as the settings say and `deliver` every few seconds, in two threads, until stopped.

    A look that takes longer than its interval is not started twice, and looks missed in a long pause become one.

    Raises:
        BadSettings: the crontab line can't be read.
    """

    def __init__(self, settings: MonitorSettings, look: Callable[[], object], deliver: Callable[[], object]) -> None:
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._scheduler.add_job(_guarded(look), _trigger(settings), id="look")
        self._scheduler.add_job(_guarded(deliver), IntervalTrigger(seconds=DELIVERY_SECONDS), id="deliver")

    def start(self) -> None:
        """Start ticking; the first look comes one interval from now."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop, after what is running has ended."""
        self._scheduler.shutdown(wait=True)


def _trigger(settings: MonitorSettings) -> CronTrigger | IntervalTrigger:
    if settings.cron is None:
        return IntervalTrigger(seconds=settings.every_minutes * 60)
    try:
        return CronTrigger.from_crontab(settings.cron, timezone="UTC")
    except ValueError as error:
        raise BadSettings(
            f"The crontab line {settings.cron!r} can't be read: {error}. "
            'Write five fields: minute hour day month weekday, such as "0 6 * * *".'
        ) from error


def _guarded(job: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            job()
        except Exception:
            logger.exception("the monitor could not finish this pass; the next one tries again")

    return run
