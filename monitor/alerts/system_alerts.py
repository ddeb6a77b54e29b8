"""Alerts about the installation itself: no monitor runs, predictions go unrecorded, a spool needs attention."""

import logging
import math

from monitor.alerts.delivery import deliver_system_alerts
from monitor.settings import MonitorSettings
from store.repositories.alerts import AlertState
from store.repositories.processes import ProcessKind, ProcessRecord
from store.store import Store

logger = logging.getLogger(__name__)


def check_installation(store: Store, settings: MonitorSettings, watched_seconds: float = math.inf) -> None:
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
    told = {notice.subject: notice.sentence for notice in store.system_alerts.all(AlertState.FIRING)}
    for subject, sentence in problems.items():
        if sentence == told.get(subject):
            continue
        if store.system_alerts.change(subject, sentence, settings.destinations, store.database.utc_now()):
            logger.warning("notice %s: %s", subject, sentence or "over")
    deliver_system_alerts(store, settings)


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
