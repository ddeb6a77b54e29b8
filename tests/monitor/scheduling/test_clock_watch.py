"""What counts as a clock that was set."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.scheduling.clock_watch import ClockWatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clocks:
    """A wall clock and a steady one, both set by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 1_000.0

    def pass_time(self, seconds: float, *, wall_seconds: float | None = None) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds if wall_seconds is None else wall_seconds)

    def watch(self) -> ClockWatch:
        return ClockWatch(lambda: self.wall, lambda: self.steady)


@pytest.mark.parametrize("hours", [-1, 1, -24, 56 * 365 * 24])
def test_a_clock_that_is_set_is_noticed_once(hours: int) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.pass_time(1)
    assert watch.measure_jump() is None
    clocks.pass_time(1, wall_seconds=1 + hours * 3_600)
    jump = watch.measure_jump()
    assert jump is not None
    assert abs(jump - timedelta(hours=hours)) < timedelta(milliseconds=1)
    clocks.pass_time(1)
    assert watch.measure_jump() is None


def test_a_machine_that_slept_and_a_clock_that_is_slewed_are_not_clocks_that_were_set() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    clocks.pass_time(8 * 3_600)
    assert watch.measure_jump() is None
    # Faster by half a second in every thousand, as time services slew, for a day.
    for _ in range(24 * 3_600):
        clocks.pass_time(1, wall_seconds=1.0005)
        assert watch.measure_jump() is None


def test_the_machine_s_own_clocks_agree() -> None:
    assert ClockWatch().measure_jump() is None
