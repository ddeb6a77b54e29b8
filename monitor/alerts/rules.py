"""When an alert fires and when it resolves: a pure function of what it was and what a check has just found."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from store.clock import new_id
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.runs import CheckResult, Verdict


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
    a report and not for an alert, by the installation's budget of false alarms (`detail["alert"]`).
    """
    if result.verdict is Verdict.SHIFTED:
        if not result.detail.get("alert", True):
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
