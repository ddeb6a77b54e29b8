"""What a pass decides of a window, from values alone: there is no database in this file."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.special import softmax

from monitor.alarm.sequential import SequentialAlarm
from monitor.alarm.state_update import CHANGE, AlarmInputs
from monitor.baselines.baseline import Comparison
from monitor.passes.decide import Decision, decide
from monitor.passes.monitor_pass import LateWindow, Look, MonitorPass
from monitor.reference.profile import Reference
from monitor.settings import MonitorSettings
from store.clock import new_id
from store.repositories.alarms import AlarmRecord
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.models import ModelRecord
from store.repositories.predictions import RecordedStream, RecordedWindow
from store.repositories.runs import Verdict
from tests.conftest import Population

UNTIL = datetime(2026, 5, 1, 12, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=1)
REFERENCE_SHA256 = "ab" * 32
MODEL = ModelRecord("c" * 64, "clusters", "vision", "single_label", list("abcde"), REFERENCE_SHA256, SINCE)

Rows = tuple[np.ndarray, np.ndarray]


def recorded_window(reference: Reference, rows: Rows) -> RecordedWindow:
    """These rows as the record would hold them, all of one instant."""
    embeddings, logits = rows
    count, scores = len(embeddings), reference.score(embeddings, logits)
    return RecordedWindow(
        since=SINCE,
        until=UNTIL,
        total=count,
        scored_total=count,
        flagged_total=int(scores.flagged.sum()),
        ids=[new_id() for _ in range(count)],
        at=[UNTIL] * count,
        predictions=["abcde"[index] for index in logits.argmax(axis=1)],
        tags=[{} for _ in range(count)],
        embeddings=embeddings.astype(np.float32),
        logits=logits.astype(np.float32),
        class_indices=logits.argmax(axis=1),
        confidences=softmax(logits, axis=1).max(axis=1),
        scores=scores.score,
        p_values=scores.p_value,
        flagged=scores.flagged,
    )


def alarm_inputs(recorded: RecordedWindow, states: dict[str, AlarmRecord] | None = None) -> AlarmInputs:
    """The rows of this window arrive one by one; the promise is 5,000 predictions."""
    stream = RecordedStream(recorded.at, recorded.scores, recorded.confidences, recorded.class_indices)
    return AlarmInputs(MODEL.sha256, REFERENCE_SHA256, states or {}, stream, UNTIL, 5_000)


def pass_over(reference: Reference, rows: Rows) -> MonitorPass:
    recorded = recorded_window(reference, rows)
    return MonitorPass(
        look=Look(MODEL, recorded, Comparison(reference), UNTIL, SINCE, seed="a seed"),
        settings=MonitorSettings(),
        alert_alpha=0.001,
        alarms=alarm_inputs(recorded),
    )


@pytest.fixture
def healthy(reference: Reference, population: Population) -> MonitorPass:
    return pass_over(reference, population.draw(150, np.random.default_rng(1))[:2])


@pytest.fixture
def shifted(reference: Reference, population: Population) -> MonitorPass:
    return pass_over(reference, population.strangers(150, np.random.default_rng(2)))


def changes(decision: Decision) -> dict[str, AlertState]:
    """The states of the alerts of which people are told, by check."""
    return {change.alert.check: change.alert.state for change in decision.alert_changes if change.is_transition}


def alerts_after(decision: Decision) -> dict[str, AlertRecord]:
    return {change.alert.check: change.alert for change in decision.alert_changes}


def test_a_healthy_window_is_ok_and_raises_nothing(healthy: MonitorPass) -> None:
    decision = decide(healthy)
    assert decision.run.verdict is Verdict.OK
    assert (decision.run.count, decision.run.since, decision.run.until) == (150, SINCE, UNTIL)
    assert decision.run.at == UNTIL
    assert decision.alert_changes == ()
    assert not decision.says_nothing_new
    assert {state.stream for state in decision.alarm_states} == {"ood_score", "confidence", "class_mix"}
    assert {state.judged_until for state in decision.alarm_states} == {UNTIL}


def test_a_shifted_window_fires_alerts_whose_evidence_is_its_run(shifted: MonitorPass) -> None:
    decision = decide(shifted)
    assert decision.run.verdict is Verdict.SHIFTED
    assert decision.run.cause is not None
    fired = changes(decision)
    assert fired["flagged_share"] is fired[CHANGE] is AlertState.FIRING
    assert {change.alert.run_id for change in decision.alert_changes} == {decision.run.id}
    assert decision.evidence.ids == tuple(shifted.look.recorded.ids)
    assert decision.evidence.alarms is not None
    assert decision.evidence.alarms.promise == 5_000


def test_an_alert_that_fires_already_is_not_told_of_again_and_resolves_with_a_healthy_window(
    shifted: MonitorPass, healthy: MonitorPass
) -> None:
    first = decide(shifted)
    again = decide(replace(shifted, alerts=alerts_after(first)))
    assert changes(again) == {}
    resolved = decide(replace(healthy, alerts=alerts_after(first)))
    assert set(changes(resolved).values()) == {AlertState.RESOLVED}
    assert "flagged_share" in changes(resolved)


def test_the_same_values_give_the_same_numbers(healthy: MonitorPass) -> None:
    first, second = decide(healthy), decide(healthy)
    assert first.run.results == second.run.results
    assert first.alarm_states == second.alarm_states


def test_a_window_too_small_gets_no_verdict_and_its_alarms_go_on(reference: Reference, population: Population) -> None:
    decision = decide(pass_over(reference, population.draw(60, np.random.default_rng(3))[:2]))
    assert decision.run.verdict is Verdict.NOT_ENOUGH_DATA
    assert "40 more are needed" in decision.run.sentence
    assert decision.alert_changes == ()
    assert (decision.test, decision.groups) == (None, ())
    assert {SequentialAlarm.from_json(state.state).seen for state in decision.alarm_states} == {60}


def test_a_window_that_says_what_the_last_run_said_says_nothing_new(
    reference: Reference, population: Population
) -> None:
    small = pass_over(reference, population.draw(60, np.random.default_rng(3))[:2])
    first = decide(small)
    assert not first.says_nothing_new
    assert decide(replace(small, last_run=first.run)).says_nothing_new
    assert not decide(replace(small, last_run=replace(first.run, count=59))).says_nothing_new


def test_a_model_without_a_reference_is_not_compared(healthy: MonitorPass) -> None:
    look = replace(healthy.look, model=replace(MODEL, reference_sha256=None), comparison=None)
    decision = decide(replace(healthy, look=look, alarms=None))
    assert decision.run.verdict is Verdict.NOT_APPLICABLE
    assert "tidegate profile clusters" in decision.run.sentence
    assert (decision.alert_changes, decision.alarm_states, decision.groups_to_save) == ((), (), ())


def test_a_reference_that_cannot_be_read_fails_the_run_with_its_reason(healthy: MonitorPass) -> None:
    look = replace(healthy.look, comparison=None)
    decision = decide(replace(healthy, look=look, alarms=None, reference_error="The file is damaged."))
    assert (decision.run.verdict, decision.run.sentence) == (Verdict.FAILED, "The file is damaged.")


def test_an_alarm_that_rings_shifts_a_window_too_small_for_a_verdict(
    reference: Reference, population: Population
) -> None:
    decision = decide(pass_over(reference, population.strangers(60, np.random.default_rng(4))))
    assert decision.run.verdict is Verdict.SHIFTED
    assert decision.run.sentence.startswith("The stream of predictions has changed: out-of-domain scores")
    assert changes(decision) == {CHANGE: AlertState.FIRING}
    assert decision.test is None


def test_an_alarm_that_rang_starts_again_with_a_healthy_window_and_rings_on_in_a_small_one(
    healthy: MonitorPass, reference: Reference, population: Population
) -> None:
    rang = decide(pass_over(reference, population.strangers(60, np.random.default_rng(4)))).alarm_states
    states = {state.stream: state for state in rang}
    calm = decide(replace(healthy, alarms=alarm_inputs(healthy.look.recorded, states)))
    started_again = SequentialAlarm.from_json({state.stream: state for state in calm.alarm_states}["ood_score"].state)
    assert (started_again.firing, started_again.seen) == (False, 0)
    small = pass_over(reference, population.draw(60, np.random.default_rng(5))[:2])
    rings_on = decide(replace(small, alarms=alarm_inputs(small.look.recorded, states)))
    assert rings_on.run.verdict is Verdict.SHIFTED


def test_a_group_of_new_inputs_is_known_again_in_the_next_window(reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(6)
    stranger = 3 * population.strangers(1, rng)[0]

    def window_with_group(members: int) -> MonitorPass:
        """Inputs around one strange input, after usual ones."""
        group = np.maximum(stranger + 0.1 * rng.normal(size=(members, stranger.size)), 0)
        embeddings = np.concatenate([population.draw(120, rng)[0], group])
        return pass_over(reference, (embeddings, embeddings @ population.means.T / 4))

    first = decide(window_with_group(80))
    (group,), (record,) = first.groups, first.groups_to_save
    # Members are rows of the window, and those around the strange input came last.
    assert set(group.members) <= set(range(120, 200))
    assert (record.number, record.count, record.first_seen) == (1, group.members.size, UNTIL)
    second = decide(replace(window_with_group(100), known_groups=(replace(record, first_seen=SINCE),)))
    (group,), (known_again,) = second.groups, second.groups_to_save
    assert (known_again.id, known_again.number) == (record.id, 1)
    assert known_again.count == record.count + group.members.size
    assert (known_again.first_seen, known_again.last_seen) == (SINCE, UNTIL)
    np.testing.assert_array_equal(known_again.centre, record.centre)


@pytest.mark.parametrize("is_latest", [True, False])
def test_a_late_window_raises_alerts_only_if_it_is_the_latest(shifted: MonitorPass, is_latest: bool) -> None:
    late = LateWindow(decide(shifted).run, is_latest)
    decision = decide(replace(shifted, alarms=None, late=late))
    assert decision.run.verdict is Verdict.SHIFTED
    assert bool(decision.alert_changes) is is_latest
    assert (decision.alarm_states, decision.groups, decision.evidence.alarms) == ((), (), None)
