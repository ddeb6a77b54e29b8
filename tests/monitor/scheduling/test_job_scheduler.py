"""Recurring jobs: after failures, long runs, and clocks that are set."""

import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitor.scheduling.clock_watch import ClockWatch
from monitor.scheduling.job_scheduler import JobScheduler, RecurringJob
from store.clock import utc_now
from tests.preload import SettableClock

# Says the time of its wall clock at each run.
TICKING = """
import sys, time
from monitor.scheduling.job_scheduler import JobScheduler, RecurringJob
jobs = JobScheduler([RecurringJob("look", 0.5, lambda: print(time.time(), flush=True))])
jobs.start()
sys.stdin.read()
jobs.stop()
"""
HOUR = 3_600


class TickingProcess:
    """A process with a job every half second, whose wall clock can be set."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._ticks: queue.Queue[float] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def next_tick(self, seconds: float) -> float:
        """The process's own time at its next run, in seconds since 1970; fails where none comes for so long."""
        try:
            return self._ticks.get(timeout=seconds)
        except queue.Empty:
            pytest.fail(f"the job stood still for {seconds} seconds")

    def count_ticks(self, seconds: float) -> int:
        """How many runs begin in the coming seconds."""
        before = self._ticks.qsize()
        time.sleep(seconds)
        return self._ticks.qsize() - before

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._ticks.put(float(line))


@contextmanager
def ticking(clock: SettableClock) -> Iterator[TickingProcess]:
    with subprocess.Popen(
        [sys.executable, "-c", TICKING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | clock.environment,
    ) as process:
        try:
            yield TickingProcess(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()


# Also 30 years ahead: a small machine without a battery starts in the past, and is set right when it finds the network.
@pytest.mark.parametrize("seconds", [-HOUR, HOUR, 30 * 365 * 24 * HOUR])
def test_a_job_goes_on_within_seconds_and_without_a_burst_after_the_clock_is_set(seconds: int, tmp_path: Path) -> None:
    clock = SettableClock.create(tmp_path)
    with ticking(clock) as process:
        process.next_tick(30)
        process.next_tick(3)
        clock.set(seconds)
        began = time.monotonic()
        while abs(process.next_tick(3) - time.time() - seconds) > 60:
            # Printed before the clock was set.
            assert time.monotonic() - began < 5
        assert time.monotonic() - began < 5
        # One every half second, and at most one more for the jump.
        assert 4 <= process.count_ticks(3) <= 8
        clock.set(0)
        while abs(process.next_tick(3) - time.time()) > 60:
            assert time.monotonic() - began < 20
        assert process.count_ticks(2) >= 2


def test_what_waits_for_an_hour_that_was_set_back_runs_at_once() -> None:
    ahead = timedelta(0)

    def wall_clock() -> datetime:
        return utc_now() + ahead

    ran = threading.Event()
    jobs = JobScheduler([RecurringJob("look", 3_600, ran.set)], ClockWatch(wall_clock))
    jobs.start()
    assert not ran.wait(1.5)
    ahead = timedelta(hours=-1)
    assert ran.wait(3)
    jobs.stop()


def test_a_job_that_raises_is_logged_counted_and_run_again(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[int] = []
    worked = threading.Event()

    def fail_twice() -> None:
        attempts.append(1)
        if len(attempts) <= 2:
            raise RuntimeError("no luck")
        worked.set()

    jobs = JobScheduler([RecurringJob("upkeep", 0.05, fail_twice, at_once=True)])
    with caplog.at_level(logging.INFO):
        jobs.start()
        assert worked.wait(10)
        jobs.stop()
    assert jobs.failures == {"upkeep": 2}
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in failures] == [
        "upkeep failed (1 since the start); the next time tries again",
        "upkeep failed (2 since the start); the next time tries again",
    ]
    assert all("no luck" in str(record.exc_text) for record in failures)


def test_a_long_run_delays_no_other_job_and_is_not_begun_twice(caplog: pytest.LogCaptureFixture) -> None:
    delivered: list[float] = []
    looks: list[float] = []
    over = threading.Event()

    def look() -> None:
        looks.append(time.monotonic())
        over.wait(20)

    jobs = JobScheduler(
        [
            RecurringJob("look", 0.1, look, at_once=True),
            RecurringJob("delivery", 0.1, lambda: delivered.append(time.monotonic())),
        ]
    )
    jobs.start()
    time.sleep(1.5)
    assert len(looks) == 1
    assert len(delivered) >= 8
    over.set()
    jobs.stop()
    # What is left out while a long run goes on is no news.
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_stopping_lets_what_runs_end_and_begins_no_more() -> None:
    begun, ended = [], []

    def work() -> None:
        begun.append(1)
        time.sleep(0.4)
        ended.append(1)

    jobs = JobScheduler([RecurringJob("look", 0.05, work, at_once=True)])
    jobs.start()
    time.sleep(0.2)
    jobs.stop()
    assert len(begun) == len(ended) == 1
    time.sleep(0.3)
    assert len(begun) == 1


def test_an_idle_scheduler_stops_at_once() -> None:
    jobs = JobScheduler([RecurringJob("look", 3_600, lambda: None)])
    jobs.start()
    began = time.monotonic()
    jobs.stop()
    assert time.monotonic() - began < 0.5
    assert "look" not in {thread.name for thread in threading.enumerate()}


def test_a_last_job_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.scheduling.job_scheduler.SECONDS_TO_END", 0.2)
    over = threading.Event()
    jobs = JobScheduler([RecurringJob("heartbeat", 5, lambda: over.wait(20), at_once=True, until_the_end=True)])
    jobs.start()
    time.sleep(0.2)
    began = time.monotonic()
    jobs.stop()
    assert time.monotonic() - began < 2
    over.set()
