"""The clock of the monitor: what is due is done once, whoever ticks."""

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest

from monitor.scheduling.schedule import LOOK, Due, Schedule
from monitor.settings import MonitorSettings
from store.errors import BadSettings
from store.repositories.jobs import JobRepository, Lease
from store.store import Store


def test_looks_go_on_after_one_that_fails(sqlite_store: Store) -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look(_lease: Lease) -> None:
        looks.append(len(looks))
        if len(looks) >= 3:
            enough.set()
        raise RuntimeError("this pass fails")

    schedule = Schedule(MonitorSettings(every_minutes=0.002), sqlite_store.jobs, look, lambda: None)
    schedule.start()
    assert enough.wait(20)
    schedule.stop()


def test_a_long_look_is_never_started_twice_at_a_time(sqlite_store: Store) -> None:
    running: list[int] = []
    most: list[int] = []
    done = threading.Event()

    def look(_lease: Lease) -> None:
        running.append(1)
        most.append(len(running))
        done.wait(0.3)
        running.pop()

    schedule = Schedule(MonitorSettings(every_minutes=0.001), sqlite_store.jobs, look, lambda: None)
    schedule.start()
    done.wait(1.5)
    schedule.stop()
    assert len(most) >= 2
    assert max(most) == 1


def test_a_crontab_line_that_can_not_be_read_is_refused(sqlite_store: Store) -> None:
    with pytest.raises(BadSettings, match="five fields"):
        Schedule(MonitorSettings(cron="every day"), sqlite_store.jobs, lambda _lease: None, lambda: None)


def test_looks_missed_in_a_pause_become_one_the_latest() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    hourly = Due(MonitorSettings(every_minutes=60))
    assert hourly.latest(noon, noon + timedelta(minutes=59)) is None
    assert hourly.latest(noon, noon + timedelta(hours=5, minutes=7)) == noon + timedelta(hours=5)
    daily = Due(MonitorSettings(cron="30 6 * * *"))
    assert daily.latest(noon, noon + timedelta(hours=18)) is None
    assert daily.latest(noon, noon + timedelta(days=3)) == datetime(2026, 3, 4, 6, 30, tzinfo=UTC)


def test_due_times_do_not_follow_summer_time() -> None:
    # In Berlin 2:30 comes twice on this night, in Chicago one week later.
    hourly = Due(MonitorSettings(cron="30 * * * *"))
    evening = datetime(2026, 10, 24, 22, tzinfo=UTC)
    found, after = [], evening
    for _ in range(8):
        due = hourly.latest(after, after + timedelta(minutes=60))
        assert due is not None
        found.append(due)
        after = due
    assert [later - earlier for earlier, later in pairwise(found)] == [timedelta(hours=1)] * 7


def test_eight_monitors_run_sixty_due_times_once_each(store: Store) -> None:
    """Each ticks on its own, with a repository of its own, until the sixtieth is done."""
    ran: list[datetime] = []
    lock = threading.Lock()
    begun = store.jobs.now()
    settings = MonitorSettings(every_minutes=0.1 / 60, lease_seconds=30)
    over = threading.Event()

    def look(lease: Lease) -> None:
        with lock:
            ran.append(lease.due_at)

    def watch(number: int) -> None:
        jobs = JobRepository(store.database, f"monitor {number}")
        schedule = Schedule(settings, jobs, look, lambda: None)
        while not over.is_set():
            schedule.tick()
            time.sleep(0.01)

    monitors = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
    for monitor in monitors:
        monitor.start()
    for _ in count():
        with lock:
            if len(ran) >= 60:
                break
        assert store.jobs.now() - begun < timedelta(seconds=60)
        time.sleep(0.05)
    over.set()
    for monitor in monitors:
        monitor.join()
    assert len(ran) == len(set(ran)) >= 60
    assert sorted(ran) == sorted(run.due_at for run in store.jobs.all(LOOK))
    assert all(run.done_at is not None and run.token == 1 for run in store.jobs.all(LOOK))
