"""One pass of the monitor, over a real record, to real receivers."""

import logging
from datetime import timedelta

import httpx
import numpy as np
import pytest
from scipy.special import softmax

from monitor.alarm.budget import budget_of
from monitor.alerts import delivery
from monitor.alerts.delivery import deliver_due, retry_after
from monitor.alerts.destinations import destination, webhook
from monitor.passes.monitor_pass import PassResult
from monitor.passes.pass_context import PassContext
from monitor.passes.run_passes import WindowClock, run_pass, run_passes
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from store.clock import new_id, utc_now
from store.errors import BadSettings
from store.recording.prediction_batch import PredictionRecord
from store.repositories.alerts import AlertState
from store.repositories.deliveries import DeliveryState
from store.repositories.runs import Verdict
from store.store import Store
from tests.conftest import Population
from tests.monitor.receiver import receiving

MODEL = "c" * 64
# Nothing is waited for: what was predicted is recorded.
AT_ONCE = WindowClock(settle=lambda _seconds: None)


def register(store: Store, reference: bytes | None, sha256: str = MODEL) -> None:
    store.models.register(
        sha256=sha256,
        name="clusters",
        application="vision",
        task="single_label",
        classes=list("abcde"),
        reference=reference,
    )


def serve(store: Store, reference: Reference, embeddings: np.ndarray, logits: np.ndarray, sha256: str = MODEL) -> None:
    """Record predictions as a gateway would."""
    scores, probabilities = reference.score(embeddings, logits), softmax(logits, axis=1)
    store.predictions.record(
        sha256,
        [
            PredictionRecord(
                id=new_id(),
                at=utc_now(),
                prediction="abcde"[logits[row].argmax()],
                class_index=int(logits[row].argmax()),
                confidence=float(probabilities[row].max()),
                ood_score=float(scores.score[row]),
                ood_p_value=float(scores.p_value[row]),
                flagged=bool(scores.flagged[row]),
                latency_seconds=0.01,
                tags=None,
                embedding=embeddings[row],
                logits=logits[row],
            )
            for row in range(len(embeddings))
        ],
    )


def look(store: Store, **settings) -> PassResult:
    (result,) = run_passes(store, MonitorSettings(**settings), AT_ONCE)
    return result


def context_of(store: Store) -> PassContext:
    """A monitor that looks at one model."""
    settings = MonitorSettings()
    return PassContext(store, settings, budget_of(settings.false_alarm_every_days, 1, settings.looks_per_day))


def test_alerts_fire_once_resolve_and_fire_again(store: Store, reference: Reference, population: Population) -> None:
    rng = np.random.default_rng(0)
    register(store, encode(reference))
    states = []
    for draw in ("members", "strangers", "strangers", "members", "strangers"):
        rows = population.draw(200, rng)[:2] if draw == "members" else population.strangers(200, rng)
        serve(store, reference, *rows)
        watched = look(store)
        states.append([event.state.value for event in watched.events if event.check == "flagged_share"])
    assert states == [[], ["firing"], [], ["resolved"], ["firing"]]
    assert len([alert for alert in store.alerts.all() if alert.check == "flagged_share"]) == 1


def test_each_window_begins_where_the_last_verdict_ended(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    store, rng = sqlite_store, np.random.default_rng(1)
    register(store, encode(reference))
    counts = []
    for rows in (150, 40, 70):
        serve(store, reference, *population.draw(rows, rng)[:2])
        counts.append(look(store).run.count)
    # Forty are too few for a verdict, so they are looked at again together with the next seventy.
    assert counts == [150, 40, 110]


def test_an_idle_model_is_not_written_down_again_and_again(sqlite_store: Store, reference: Reference) -> None:
    register(sqlite_store, encode(reference))
    assert [look(sqlite_store).run.verdict for _ in range(3)] == [Verdict.NOT_ENOUGH_DATA] * 3
    assert len(sqlite_store.runs.recent()) == 1


def test_the_last_n_predictions_can_be_the_window(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    store, rng = sqlite_store, np.random.default_rng(2)
    register(store, encode(reference))
    for _ in range(3):
        serve(store, reference, *population.draw(100, rng)[:2])
    assert [look(store, last=200).run.count for _ in range(2)] == [200, 200]


def test_a_model_without_a_reference_is_recorded_as_not_comparable(sqlite_store: Store) -> None:
    register(sqlite_store, None)
    watched = look(sqlite_store)
    assert watched.run.verdict is Verdict.NOT_APPLICABLE
    assert "tidegate profile" in watched.run.sentence


def test_a_damaged_reference_fails_its_model_and_not_the_others(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, b"damaged", "d" * 64)
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(150, np.random.default_rng(3))[:2])
    runs = {result.model.sha256: result.run for result in run_passes(sqlite_store, MonitorSettings(), AT_ONCE)}
    assert runs["d" * 64].verdict is Verdict.FAILED
    assert "damaged" in runs["d" * 64].sentence
    assert runs[MODEL].verdict is Verdict.OK


def test_two_monitors_that_look_at_once_judge_a_window_once(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    store = sqlite_store
    register(store, encode(reference))
    serve(store, reference, *population.draw(150, np.random.default_rng(4))[:2])
    model = store.models.get(MODEL)
    judged_first: list[PassResult | None] = []

    class Slow(type(store.predictions)):  # type: ignore[misc]
        """Between reading the window and writing the verdict, another monitor does both."""

        def window(self, *arguments, **options):
            recorded = super().window(*arguments, **options)
            if not judged_first:
                judged_first.append(None)
                judged_first.append(run_pass(context_of(Store(store.database)), model, utc_now()))
            return recorded

    slow = Store(store.database)
    slow.predictions = Slow(store.database)
    assert run_pass(context_of(slow), model, utc_now()) is None
    assert judged_first[1] is not None
    assert len(store.runs.recent()) == 1


def fire(store: Store, reference: Reference, population: Population, *destinations: str) -> None:
    register(store, encode(reference))
    serve(store, reference, *population.strangers(200, np.random.default_rng(5)))
    look(store, destinations=list(destinations))


def test_a_webhook_gets_the_alert_as_json_with_its_report(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    with receiving() as receiver:
        fire(sqlite_store, reference, population, receiver.address)
        settings = MonitorSettings(public_url="https://gate.example.org/")
        taken = deliver_due(sqlite_store, settings)
        assert deliver_due(sqlite_store, settings) == 0
    assert taken == len(receiver.bodies) >= 1
    body = next(body for body in receiver.bodies if body["data"]["check"] == "flagged_share")
    assert body["type"] == "tidegate.alert.firing"
    assert body["data"]["model_name"] == "clusters"
    assert body["data"]["report_url"] == f"https://gate.example.org/reports/{body['data']['run']}"
    assert {headers["webhook-id"] for headers in receiver.headers} == {body["id"] for body in receiver.bodies}


@pytest.mark.parametrize("answer", [500, 404, "reset", "hang", "redirect"])
def test_a_receiver_that_fails_gets_the_same_message_later_and_delays_no_other(
    answer, sqlite_store: Store, reference: Reference, population: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", httpx.Timeout(0.5))
    with receiving(*[answer] * 8) as failing, receiving() as healthy:
        fire(sqlite_store, reference, population, failing.address, healthy.address)
        sent = deliver_due(sqlite_store, MonitorSettings())
        assert sent == len(healthy.bodies) >= 1
        failing.answers.clear()
        later = utc_now() + delivery.FIRST_RETRY + timedelta(seconds=5)
        deliver_due(sqlite_store, MonitorSettings(), now=lambda: later)
    tries = [body["id"] for body in failing.bodies]
    assert len(tries) == 2 * len(set(tries))
    assert sqlite_store.deliveries.counts()[DeliveryState.PENDING] == 0


def test_a_receiver_that_is_gone_becomes_a_dead_letter_that_is_counted(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    with receiving(*[410] * 8) as receiver:
        fire(sqlite_store, reference, population, receiver.address)
        assert deliver_due(sqlite_store, MonitorSettings()) == 0
    assert sqlite_store.deliveries.counts()[DeliveryState.DEAD] == len(receiver.bodies) >= 1


def test_the_log_tells_of_an_alert_with_its_sentence(
    sqlite_store: Store, reference: Reference, population: Population, caplog: pytest.LogCaptureFixture
) -> None:
    fire(sqlite_store, reference, population, "log")
    with caplog.at_level(logging.INFO, logger="tidegate.alerts"):
        deliver_due(sqlite_store, MonitorSettings())
    assert any("share of out-of-domain inputs has shifted" in record.message for record in caplog.records)
    assert store_states(sqlite_store) == {AlertState.FIRING}


def store_states(store: Store) -> set[AlertState]:
    return {alert.state for alert in store.alerts.all()}


def test_retries_wait_longer_and_longer_up_to_an_hour() -> None:
    waits = [retry_after(attempt) for attempt in range(1, 12)]
    assert waits[:3] == [timedelta(seconds=10), timedelta(seconds=20), timedelta(seconds=40)]
    assert waits[-1] == timedelta(hours=1)


def test_an_address_no_destination_takes_is_refused() -> None:
    with pytest.raises(BadSettings, match="No kind of destination"):
        destination("pigeon:loft")
