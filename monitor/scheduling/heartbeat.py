"""The watch over the watchers: every gateway and monitor says that it runs, and sees whether the others do.

A monitor that has stopped can't say so; a gateway does it for it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monitor.alerts.system_alerts import check_installation
from monitor.scheduling.job_scheduler import JobScheduler, RecurringJob
from monitor.settings import MonitorSettings
from store.errors import StoreUnavailable
from store.repositories.processes import ProcessKind
from store.store import Store

logger = logging.getLogger(__name__)

HEARTBEAT = "heartbeat"
SECONDS_BETWEEN_BEATS = 5.0


class Heartbeat:
    """Says that this process runs, and looks after the installation.

    A monitor runs `job` on its schedule and calls `end`; `beating` does both for a gateway, which has no schedule.

    Args:
        store: the record.
        settings: where people are told.
        kind: of this process.
        state: what it says of itself.
    """

    def __init__(
        self,
        store: Store,
        settings: MonitorSettings,
        kind: ProcessKind,
        state: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._store, self._settings, self._kind, self._state = store, settings, kind, state
        self._began = time.monotonic()
        self.job = RecurringJob(
            HEARTBEAT, SECONDS_BETWEEN_BEATS, self._beat_if_store_answers, at_once=True, until_the_end=True
        )

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat until the block is left, in a process without a schedule."""
        scheduler = JobScheduler([self.job])
        scheduler.start()
        try:
            yield
        finally:
            scheduler.stop()
            self.end()

    def beat(self) -> None:
        """One beat: the clocks are compared, this process is seen, and people are told what is wrong with others.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        self._store.database.measure_clock()
        self._store.processes.record_heartbeat(self._kind, self._state())
        check_installation(self._store, self._settings, time.monotonic() - self._began)

    def end(self) -> None:
        """Note that this process ends as it was asked to, so that nobody misses it."""
        try:
            self._store.processes.record_end()
        except StoreUnavailable as error:
            logger.warning("the end of this %s could not be noted: %s", self._kind.value, error)

    def _beat_if_store_answers(self) -> None:
        try:
            self.beat()
        except StoreUnavailable as error:
            logger.debug("no heartbeat: %s", error)
