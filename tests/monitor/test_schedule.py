"""The clock of the monitor."""

import threading

import pytest

from monitor.schedule import Schedule
from monitor.settings import MonitorSettings
from store.errors import BadSettings


def test_looks_go_on_after_one_that_fails() -> None:
    looks: list[int] = []
    enough = threading.Event()

    def look() -> None:
        looks.append(len(looks))
        if len(looks) >= 3:
            enough.set()
        raise RuntimeError("this pass fails")

    schedule = Schedule(MonitorSettings(every_minutes=0.002), look, lambda: None)
    schedule.start()
    assert enough.wait(10)
    schedule.stop()


def test_a_long_look_is_never_started_twice_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []
    done = threading.Event()

    def look() -> None:
        running.append(1)
        most.append(len(running))
        done.wait(0.3)
        running.pop()

    schedule = Schedule(MonitorSettings(every_minutes=0.001), look, lambda: None)
    schedule.start()
    done.wait(1)
    schedule.stop()
    assert len(most) >= 2
    assert max(most) == 1


def test_a_crontab_line_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(BadSettings, match="five fields"):
        Schedule(MonitorSettings(cron="every day"), lambda: None, lambda: None)
