"""When looks are due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from monitor.scheduling.due_times import DueAfterJob, DueTimes
from monitor.scheduling.schedule import LOOK
from monitor.settings import MonitorSettings
from store.repositories.jobs import ATTEMPTS, JobRepository
from store.store import Store


def test_looks_missed_in_a_pause_become_one_the_latest() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    hourly = DueTimes(MonitorSettings(every_minutes=60))
    assert hourly.latest(noon, noon + timedelta(minutes=59)) is None
    assert hourly.latest(noon, noon + timedelta(hours=5, minutes=7)) == noon + timedelta(hours=5)
    daily = DueTimes(MonitorSettings(cron="30 6 * * *"))
    assert daily.latest(noon, noon + timedelta(hours=18)) is None
    assert daily.latest(noon, noon + timedelta(days=3)) == datetime(2026, 3, 4, 6, 30, tzinfo=UTC)


def test_due_times_do_not_follow_summer_time() -> None:
    # In Berlin 2:30 comes twice on this night, in Chicago one week later.
    hourly = DueTimes(MonitorSettings(cron="30 * * * *"))
    evening = datetime(2026, 10, 24, 22, tzinfo=UTC)
    due_times, after = [], evening
    for _ in range(8):
        due_at = hourly.latest(after, after + timedelta(minutes=60))
        assert due_at is not None
        due_times.append(due_at)
        after = due_at
    assert [later - earlier for earlier, later in pairwise(due_times)] == [timedelta(hours=1)] * 7


def test_a_job_that_follows_another_waits_until_its_work_is_over(store: Store) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    before, one, two = (noon + timedelta(hours=hours) for hours in (-1, 1, 2))
    upkeep = DueAfterJob(LOOK, store.jobs)
    assert upkeep.latest(before, two) is None
    lease = store.jobs.take(LOOK, noon)
    assert lease is not None
    assert upkeep.latest(before, two) is None, "the look goes on"
    with lease.held():
        pass
    assert upkeep.latest(before, two) == noon
    assert upkeep.latest(noon, two) is None, "it was done for that look"
    assert store.jobs.take(LOOK, one) is not None
    assert upkeep.latest(before, two) == noon, "of two looks, one is over"


def test_looks_that_fail_do_not_keep_the_job_that_follows_waiting(store: Store) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    later, end = noon + timedelta(hours=1), noon + timedelta(hours=2)
    upkeep, jobs = DueAfterJob(LOOK, store.jobs), JobRepository(store.database, "another")
    # Leases that have run out, as those of looks that failed.
    for attempt in range(ATTEMPTS):
        assert upkeep.latest(noon - timedelta(hours=1), end) is None, f"after {attempt} of {ATTEMPTS} attempts"
        assert jobs.take(LOOK, noon, seconds=-1) is not None
    assert upkeep.latest(noon - timedelta(hours=1), end) == noon
    # And one that was left for a later one.
    assert jobs.take(LOOK, later, seconds=-1) is not None
    assert upkeep.latest(noon, end) is None
    assert jobs.take(LOOK, end) is not None
    assert upkeep.latest(noon, end) == later
