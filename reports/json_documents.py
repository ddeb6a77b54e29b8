"""Values as plain documents, for JSON."""

from dataclasses import asdict
from typing import Any

from monitor.history.query import CONFIDENCE_SHARES, SCORE_SHARES, History
from monitor.overview.alerts import AlertList
from monitor.overview.runs import RunList
from store.repositories.runs import RunRecord

Document = dict[str, Any]


def history_document(history: History) -> Document:
    """A model's history."""
    return asdict(history) | {"score_shares": SCORE_SHARES, "confidence_shares": CONFIDENCE_SHARES}


def alerts_document(alerts: AlertList) -> Document:
    """Alerts, their latest changes, and the alerts about the installation itself."""
    return {
        "alerts": [asdict(alert) for alert in alerts.alerts],
        "events": [asdict(event) for event in alerts.events],
        "notices": [asdict(system_alert) for system_alert in alerts.system_alerts],
    }


def runs_document(runs: RunList) -> Document:
    """The latest windows that the monitor judged, each with the address of its report."""
    return {"reports": [_run(run, has_report=run.id in runs.reported) for run in runs.runs]}


def _run(run: RunRecord, *, has_report: bool) -> Document:
    return {
        "id": str(run.id),
        "model": run.model_sha256,
        "since": run.since,
        "until": run.until,
        "count": run.count,
        "flagged": run.flagged,
        "verdict": run.verdict.value,
        "sentence": run.sentence,
        "report": f"/reports/{run.id}" if has_report else None,
        "replaced_by": run.replaced_by,
    }
