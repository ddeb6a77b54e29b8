"""When looks are due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from monitor.scheduling.due_times import DueTimes
from monitor.settings import MonitorSettings


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
