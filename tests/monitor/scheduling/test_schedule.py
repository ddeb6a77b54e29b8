"""The timetable of a monitor: which jobs there are, and that none of them keeps another from its time."""

import threading
import time
from collections.abc import Callable

import pytest

from monitor.scheduling.job_scheduler import RecurringJob
from monitor.scheduling.schedule import LOOK, MonitorWork, Schedule
from monitor.settings import MonitorSettings
from store.errors import BadSettings
from store.repositories.jobs import Lease
from store.store import Store


def monitor_work(
    look: Callable[[Lease], object] = lambda _lease: None,
    upkeep: Callable[[Lease], object] = lambda _lease: None,
    beat: Callable[[], object] = lambda: None,
    beat_seconds: float = 5.0,
) -> MonitorWork:
    heartbeat = RecurringJob("heartbeat", beat_seconds, beat, at_once=True, until_the_end=True)
    return MonitorWork(look, upkeep, lambda: None, heartbeat)


def test_apscheduler_lists_what_a_monitor_does(sqlite_store: Store) -> None:
    schedule = Schedule(MonitorSettings(), sqlite_store.jobs, monitor_work())
    schedule.start()
    jobs = {job.name: job for job in schedule.scheduler.get_jobs()}
    seconds = {name: job.trigger.interval.total_seconds() for name, job in jobs.items()}
    assert seconds == {"look": 5, "upkeep": 5, "delivery": 10, "heartbeat": 5}
    assert all(job.coalesce and job.max_instances == 1 and job.misfire_grace_time is None for job in jobs.values())
    schedule.stop()
    assert schedule.scheduler.get_jobs() == []


def test_looks_go_on_after_one_that_fails(sqlite_store: Store) -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look(_lease: Lease) -> None:
        looks.append(len(looks))
        if len(looks) >= 3:
            enough.set()
        raise RuntimeError("this pass fails")

    schedule = Schedule(MonitorSettings(every_minutes=0.002), sqlite_store.jobs, monitor_work(look))
    schedule.start()
    assert enough.wait(20)
    schedule.stop()
    assert schedule.failures[LOOK] >= 3


def test_a_long_look_is_never_started_twice_at_a_time(sqlite_store: Store) -> None:
    running: list[int] = []
    most: list[int] = []
    done = threading.Event()

    def look(_lease: Lease) -> None:
        running.append(1)
        most.append(len(running))
        done.wait(0.3)
        running.pop()

    schedule = Schedule(MonitorSettings(every_minutes=0.001), sqlite_store.jobs, monitor_work(look))
    schedule.start()
    done.wait(1.5)
    schedule.stop()
    assert len(most) >= 2
    assert max(most) == 1


def test_a_long_look_delays_no_heartbeat_is_waited_for_and_comes_before_what_forgets(sqlite_store: Store) -> None:
    looking, stopping, upkept = threading.Event(), threading.Event(), threading.Event()
    ended: list[str] = []
    upkept_too_early: list[str] = []
    beats: list[float] = []

    def look(_lease: Lease) -> None:
        looking.set()
        stopping.wait(20)
        time.sleep(1)
        ended.append("look")

    def upkeep(_lease: Lease) -> None:
        if not ended:
            upkept_too_early.append("upkeep")
        upkept.set()

    work = monitor_work(
        look,
        upkeep,
        beat=lambda: beats.append(time.monotonic()),
        beat_seconds=0.1,
    )
    schedule = Schedule(MonitorSettings(every_minutes=0.005), sqlite_store.jobs, work)
    schedule.start()
    assert looking.wait(10)
    began = time.monotonic()
    time.sleep(1)
    assert sum(beat > began for beat in beats) >= 5
    # And a monitor that is told to stop says that it runs until its look has ended.
    stopping.set()
    stopped_at = time.monotonic()
    schedule.stop()
    assert ended == ["look"]
    assert sum(beat > stopped_at for beat in beats) >= 5
    # What is old is judged before it is forgotten.
    again = Schedule(MonitorSettings(every_minutes=0.005), sqlite_store.jobs, work)
    again.start()
    assert upkept.wait(10)
    again.stop()
    assert not upkept_too_early


def test_a_crontab_line_that_can_not_be_read_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(BadSettings, match="five fields"):
        Schedule(MonitorSettings(cron="every day"), sqlite_store.jobs, monitor_work())
