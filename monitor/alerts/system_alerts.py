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
    """Raise alerts about what is wrong with the installation, and resolve those about what is right again.

    Args:
        store: the record.
        settings: which destinations are told.
        watched_seconds: for how long the caller has been running: after a whole machine has started again, its monitor
            gets its time to start too.
    """
    processes = store.processes.all()
    monitor_problem = _find_lost_monitor(processes, settings)
    if monitor_problem is not None and watched_seconds < settings.silent_seconds:
        return
    problems = {
        "monitor": monitor_problem,
        "recording": _find_unrecorded(processes),
        "spool": _find_spool_problems(processes),
    }
    # Most beats find nothing new, and a look takes no writer's turn.
    firing = {alert.subject: alert.sentence for alert in store.system_alerts.all(AlertState.FIRING)}
    for subject, sentence in problems.items():
        if sentence == firing.get(subject):
            continue
        if store.system_alerts.change(subject, sentence, settings.destinations, store.database.utc_now()):
            logger.warning("notice %s: %s", subject, sentence or "over")
    deliver_system_alerts(store, settings)


def _find_lost_monitor(processes: list[ProcessRecord], settings: MonitorSettings) -> str | None:
    monitors = [process for process in processes if process.kind is ProcessKind.MONITOR]
    if not monitors or any(monitor.silent_seconds < settings.silent_seconds for monitor in monitors):
        return None
    last = min(monitors, key=lambda monitor: monitor.silent_seconds)
    return (
        f"No monitor has been seen since {last.seen_at:%Y-%m-%d %H:%M:%S} UTC (the last was process {last.pid} on "
        f"{last.host}). Predictions are recorded, but nobody looks at them: start `tidegate monitor` again."
    )


def _find_unrecorded(processes: list[ProcessRecord]) -> str | None:
    gateways = [process for process in processes if process.kind is ProcessKind.GATEWAY]
    unrecorded = sum(int(gateway.state.get("unrecorded", 0)) for gateway in gateways)
    if not unrecorded:
        return None
    return f"{unrecorded:,} predictions were answered without being recorded, as there was no room on the disk."


def _find_spool_problems(processes: list[ProcessRecord]) -> str | None:
    sentences = [str(process.state["spool"]) for process in processes if process.state.get("spool")]
    return " ".join(dict.fromkeys(sentences)) or None
