"""When an alert fires and when it resolves: pure functions of what it was and what a check has just found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from store.clock import new_id
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.runs import CheckResult, RunRecord, Verdict


@dataclass(frozen=True)
class AlertChange:
    """An alert to write. A transition has changed its state, and people are told of it."""

    alert: AlertRecord
    is_transition: bool


def derive_alert_changes(alerts: Mapping[str, AlertRecord], run: RunRecord) -> tuple[AlertChange, ...]:
    """What a run changes of a model's alerts, which are given by check; alerts that stay as they are are left out."""
    changes = []
    for result in run.results:
        alert = alerts.get(result.check)
        following = next_alert(alert, run.model_sha256, result, run.id, run.at)
        if following is not None and following != alert:
            changes.append(AlertChange(following, alert is None or alert.state is not following.state))
    return tuple(changes)


def next_alert(
    alert: AlertRecord | None, model_sha256: str, result: CheckResult, run_id: UUID, at: datetime
) -> AlertRecord | None:
    """The alert after this result; None where there is none and none is needed.

    | was       | shifted | ok       | other verdicts |
    |-----------|---------|----------|----------------|
    | none      | firing  | none     | none           |
    | firing    | firing  | resolved | firing         |
    | resolved  | firing  | resolved | resolved       |

    Only a change of state moves `since`, `run_id` and `sentence`: the run that raised an alert stays its evidence.
    A check that failed or has too little data says nothing either way, and so does a shift that is certain enough for
    a report and not for an alert, by the installation's budget of false alarms (`CheckResult.alerting`).
    """
    if result.verdict is Verdict.SHIFTED:
        if not result.alerting:
            return alert
        state = AlertState.FIRING
    elif result.verdict is Verdict.OK:
        state = AlertState.RESOLVED
    else:
        return alert
    if alert is None:
        if state is AlertState.RESOLVED:
            return None
        return AlertRecord(new_id(), model_sha256, result.check, state, at, at, run_id, result.sentence)
    if alert.state is state:
        return replace(alert, last_seen=at)
    return replace(alert, state=state, since=at, last_seen=at, run_id=run_id, sentence=result.sentence)
