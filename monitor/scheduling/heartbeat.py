"""The watch over the watchers: every gateway and monitor says that it runs, and sees whether the others do.

A monitor that has stopped can't say so; a gateway does it for it.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from monitor.alerts.system_alerts import check_installation
from monitor.periodic import PeriodicTask
from monitor.settings import MonitorSettings
from store.errors import StoreUnavailable
from store.repositories.processes import ProcessKind
from store.store import Store

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_BEATS = 5.0


class Heartbeat:
    """Says that this process runs until the block is left, and looks after the installation.

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
        self._repeating = PeriodicTask("heartbeat", SECONDS_BETWEEN_BEATS, self._beat, at_once=True)

    def __enter__(self) -> "Heartbeat":
        self._repeating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._repeating.stop(SECONDS_BETWEEN_BEATS)
        try:
            self._store.processes.record_end()
        except StoreUnavailable as error:
            logger.warning("the end of this %s could not be noted: %s", self._kind.value, error)

    def _beat(self) -> None:
        try:
            self.beat()
        except StoreUnavailable as error:
            logger.debug("no heartbeat: %s", error)

    def beat(self) -> None:
        """One beat: the clocks are compared, this process is seen, and what is wrong with others is told of."""
        self._store.database.measure_clock()
        self._store.processes.record_heartbeat(self._kind, self._state())
        check_installation(self._store, self._settings, time.monotonic() - self._began)
