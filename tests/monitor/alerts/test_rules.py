"""The life of an alert, as a table."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.alerts.rules import next_alert
from store.clock import new_id
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.runs import CheckResult, Verdict

BEFORE = datetime(2026, 5, 1, tzinfo=UTC)
NOW = BEFORE + timedelta(hours=1)
F, R = AlertState.FIRING, AlertState.RESOLVED


@pytest.mark.parametrize(
    ("was", "verdict", "becomes", "changes"),
    [
        (None, Verdict.SHIFTED, F, True),
        (None, Verdict.OK, None, False),
        (None, Verdict.NOT_ENOUGH_DATA, None, False),
        (None, Verdict.FAILED, None, False),
        (F, Verdict.SHIFTED, F, False),
        (F, Verdict.OK, R, True),
        (F, Verdict.NOT_ENOUGH_DATA, F, False),
        (F, Verdict.NOT_APPLICABLE, F, False),
        (F, Verdict.FAILED, F, False),
        (R, Verdict.SHIFTED, F, True),
        (R, Verdict.OK, R, False),
        (R, Verdict.NOT_ENOUGH_DATA, R, False),
        (R, Verdict.FAILED, R, False),
    ],
)
def test_the_state_after_a_verdict(was, verdict: Verdict, becomes, changes: bool) -> None:
    run, earlier = new_id(), new_id()
    alert = None if was is None else AlertRecord(new_id(), "m" * 64, "check", was, BEFORE, BEFORE, earlier, "before")
    after = next_alert(alert, "m" * 64, CheckResult("check", verdict, "now"), run, NOW)
    if becomes is None:
        assert after is None
        return
    assert after is not None
    assert after.state is becomes
    if changes:
        assert (after.since, after.run_id, after.sentence) == (NOW, run, "now")
    else:
        assert alert is not None
        assert (after.since, after.run_id, after.sentence) == (BEFORE, earlier, "before")
    if alert is not None:
        assert after.id == alert.id
