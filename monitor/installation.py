"""The watch over the watchers: every gateway and monitor says that it runs, and sees whether the others do.

A monitor that has stopped can't say so; a gateway does it for it.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from monitor.alerts.delivery import deliver_notices
from monitor.repeating import Repeating
from monitor.settings import MonitorSettings
from store import Store
from store.alerts import AlertState
from store.errors import StoreUnavailable
from store.processes import ProcessKind, ProcessRecord

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
        self._repeating = Repeating("heartbeat", SECONDS_BETWEEN_BEATS, self._beat, at_once=True)

    def __enter__(self) -> "Heartbeat":
        self._repeating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._repeating.stop(SECONDS_BETWEEN_BEATS)
        try:
            self._store.processes.ended()
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
        self._store.processes.seen(self._kind, self._state())
        look_after(self._store, self._settings, time.monotonic() - self._began)


def look_after(store: Store, settings: MonitorSettings, watched_seconds: float = math.inf) -> None:
    """Tell of what is wrong with the installation, and of what is right again.

    Args:
        store: the record.
        settings: where people are told.
        watched_seconds: for how long the caller has been running: after a whole machine has started again, its monitor
            gets its time to start too.
    """
    processes = store.processes.all()
    lost = _monitor_lost(processes, settings)
    if lost is not None and watched_seconds < settings.silent_seconds:
        return
    problems = {
        "monitor": lost,
        "recording": _unrecorded(processes),
        "spool": _spools(processes),
    }
    # Most beats find nothing new, and a look takes no writer's turn.
    told = {notice.subject: notice.sentence for notice in store.notices.all(AlertState.FIRING)}
    for subject, sentence in problems.items():
        if sentence == told.get(subject):
            continue
        if store.notices.change(subject, sentence, settings.destinations, store.database.utc_now()):
            logger.warning("notice %s: %s", subject, sentence or "over")
    deliver_notices(store, settings)


def _monitor_lost(processes: list[ProcessRecord], settings: MonitorSettings) -> str | None:
    monitors = [one for one in processes if one.kind is ProcessKind.MONITOR]
    if not monitors or any(one.silent_seconds < settings.silent_seconds for one in monitors):
        return None
    last = min(monitors, key=lambda one: one.silent_seconds)
    return (
        f"No monitor has been seen since {last.seen_at:%Y-%m-%d %H:%M:%S} UTC (the last was process {last.pid} on "
        f"{last.host}). Predictions are recorded, but nobody looks at them: start `tidegate monitor` again."
    )


def _unrecorded(processes: list[ProcessRecord]) -> str | None:
    number = sum(int(one.state.get("unrecorded", 0)) for one in processes if one.kind is ProcessKind.GATEWAY)
    if not number:
        return None
    return f"{number:,} predictions were answered without being recorded, as there was no room on the disk."


def _spools(processes: list[ProcessRecord]) -> str | None:
    told = [str(one.state["spool"]) for one in processes if one.state.get("spool")]
    return " ".join(dict.fromkeys(told)) or None
