"""Alerts about the installation itself: no monitor runs, predictions go unrecorded, or a spool needs attention."""

import logging
import math

from monitor.alerts.delivery import deliver_system_alerts
from monitor.settings import MonitorSettings
from store.repositories.alerts import AlertState
from store.repositories.processes import ProcessKind, ProcessRecord
from store.store import Store

logger = logging.getLogger(__name__)


def check_installation(store: Store, settings: MonitorSettings, watched_seconds: float = math.inf) -> None:
    """Alert people to what is wrong with the installation, and to what is right again.

    Args:
        store: the record.
        settings: where people are told.
        watched_seconds: for how long the caller has been running. When a whole machine has started again, its monitor gets
            time to start too, before anybody is told that none runs.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    processes = store.processes.all()
    missing_monitor = _describe_missing_monitor(processes, settings)
    if missing_monitor is not None and watched_seconds < settings.silent_seconds:
        return
    problems = {
        "monitor": missing_monitor,
        "recording": _describe_unrecorded(processes),
        "spool": _describe_spools(processes),
    }
    # Most beats find nothing new, and reading keeps no writer waiting.
    firing = {notice.subject: notice.sentence for notice in store.system_alerts.all(AlertState.FIRING)}
    for subject, sentence in problems.items():
        if sentence == firing.get(subject):
            continue
        if store.system_alerts.change(subject, sentence, settings.destinations, store.database.utc_now()):
            logger.warning("notice %s: %s", subject, sentence or "over")
    deliver_system_alerts(store, settings)


def _describe_missing_monitor(processes: list[ProcessRecord], settings: MonitorSettings) -> str | None:
    monitors = [process for process in processes if process.kind is ProcessKind.MONITOR]
    if not monitors or any(monitor.silent_seconds < settings.silent_seconds for monitor in monitors):
        return None
    last = min(monitors, key=lambda monitor: monitor.silent_seconds)
    return (
        f"No monitor has been seen since {last.seen_at:%Y-%m-%d %H:%M:%S} UTC (the last was process {last.pid} on "
        f"{last.host}). Predictions are recorded, but nobody looks at them: start `tidegate monitor` again."
    )


def _describe_unrecorded(processes: list[ProcessRecord]) -> str | None:
    gateways = [process for process in processes if process.kind is ProcessKind.GATEWAY]
    unrecorded = sum(int(gateway.state.get("unrecorded", 0)) for gateway in gateways)
    if not unrecorded:
        return None
    return f"{unrecorded:,} predictions were answered without being recorded, as there was no room on the disk."


def _describe_spools(processes: list[ProcessRecord]) -> str | None:
    warnings = [str(process.state["spool"]) for process in processes if process.state.get("spool")]
    return " ".join(dict.fromkeys(warnings)) or None
