"""Notices that the machine's wall clock was set."""

from collections.abc import Callable
from datetime import datetime, timedelta

from store.clock import steady_seconds, utc_now

# More than a slow machine puts between two readings; a clock that is slewed moves by microseconds in a second.
SMALLEST_JUMP = timedelta(seconds=2)


class ClockWatch:
    """Compares the wall clock with a clock that nobody sets, which on Linux goes on while the machine sleeps.

    Args:
        wall_clock: the present instant by the clock that people and time services set.
        steady_clock: seconds since some instant, by the other one.
    """

    def __init__(
        self,
        wall_clock: Callable[[], datetime] = utc_now,
        steady_clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._wall_clock, self._steady_clock = wall_clock, steady_clock
        self._last_wall, self._last_steady = wall_clock(), steady_clock()

    def measure_jump(self) -> timedelta | None:
        """How far the wall clock was set since the last call, negative where it was set back; None where it was not set."""
        wall, steady = self._wall_clock(), self._steady_clock()
        jump = (wall - self._last_wall) - timedelta(seconds=steady - self._last_steady)
        self._last_wall, self._last_steady = wall, steady
        return jump if abs(jump) >= SMALLEST_JUMP else None
