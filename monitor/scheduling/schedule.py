"""The timetable of a monitor's process: look, upkeep, delivery and heartbeat.

Look and upkeep only find out every few seconds whether they are due; each due time is done by one monitor (`LeasedJob`).
Upkeep is due when a look is over: what is old is judged and reported before it is forgotten.
Delivery and heartbeat are done by every monitor.
"""

from collections.abc import Callable
from dataclasses import dataclass

from monitor.scheduling.due_times import DueAfterJob, DueTimes
from monitor.scheduling.job_scheduler import JobScheduler, RecurringJob
from monitor.scheduling.leased_job import LeasedJob
from monitor.settings import MonitorSettings
from store.repositories.jobs import JobRepository, Lease

LOOK, UPKEEP, DELIVERY = "look", "upkeep", "delivery"
DELIVERY_SECONDS = 10.0
_LONGEST_TICK_SECONDS, _SHORTEST_TICK_SECONDS = 5.0, 0.05


@dataclass(frozen=True)
class MonitorWork:
    """What a monitor does.

    Args:
        look: judges every model; fences every transaction with its lease.
        upkeep: adds history up and forgets what is old; does the same.
        deliver: sends what is owed; every monitor does, as each message is taken by one.
        heartbeat: says that this monitor runs.
    """

    look: Callable[[Lease], object]
    upkeep: Callable[[Lease], object]
    deliver: Callable[[], object]
    heartbeat: RecurringJob


class Schedule(JobScheduler):
    """Runs a monitor's work until stopped.

    Args:
        settings: when looks and upkeep are due, and how long a lease lasts.
        jobs: shared by every monitor.
        work: what is done.

    Raises:
        BadSettings: the crontab line can't be read.
    """

    def __init__(self, settings: MonitorSettings, jobs: JobRepository, work: MonitorWork) -> None:
        tick_seconds = max(min(_LONGEST_TICK_SECONDS, settings.every_minutes * 60 / 10), _SHORTEST_TICK_SECONDS)

        def check(name: str, due_times: DueTimes | DueAfterJob, run: Callable[[Lease], object]) -> RecurringJob:
            leased_job = LeasedJob(name, due_times, jobs, run, settings.lease_seconds)
            return RecurringJob(name, tick_seconds, leased_job.run_if_due)

        super().__init__(
            [
                check(LOOK, DueTimes(settings), work.look),
                check(UPKEEP, DueAfterJob(LOOK, jobs), work.upkeep),
                RecurringJob(DELIVERY, DELIVERY_SECONDS, work.deliver),
                work.heartbeat,
            ]
        )
