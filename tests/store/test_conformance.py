"""What every database must do alike: one suite, run on SQLite and on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from store.clock import new_id
from store.errors import NotFound, StoreUnavailable
from store.maintenance.retention import Retention
from store.recording.batches import PredictionRecord, RawInput
from store.repositories.alarms import AlarmRecord
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.baselines import BaselineRecord, NewBaseline
from store.repositories.deliveries import DeliveryState
from store.repositories.groups import GroupRecord
from store.repositories.runs import CheckResult, RunRecord, Verdict
from store.rollups.quantile_sketch import QuantileSketch
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store

MODEL = "a" * 64
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def register(store: Store, sha256: str = MODEL, reference: bytes | None = b"reference") -> None:
    store.models.register(
        sha256=sha256, name="digits", application="vision", task="single_label", classes=["a", "b"], reference=reference
    )


def prediction(seconds: float = 0.0, *, flagged: bool | None = False, raw: RawInput | None = None) -> PredictionRecord:
    return PredictionRecord(
        id=new_id(),
        at=START + timedelta(seconds=seconds),
        prediction="a",
        class_index=0,
        confidence=0.75,
        ood_score=None if flagged is None else 1.5,
        ood_p_value=None if flagged is None else 0.25,
        flagged=flagged,
        latency_seconds=0.01,
        tags={"site": "berlin"},
        embedding=np.array([0.5, -2.0, 3.25]),
        logits=np.array([1.0, -1.0]),
        raw_input=raw,
    )


def run_record(until: datetime, verdict: Verdict = Verdict.OK, results: Sequence[CheckResult] = ()) -> RunRecord:
    return RunRecord(
        id=new_id(),
        model_sha256=MODEL,
        reference_sha256=None,
        at=until,
        since=START,
        until=until,
        count=3,
        flagged=1,
        verdict=verdict,
        sentence="said",
        seed="seed",
        results=tuple(results),
    )


def window_of(store: Store, seconds: float, *, max_rows: int = 100):
    return store.predictions.window(
        MODEL,
        START - timedelta(days=1),
        START + timedelta(seconds=seconds),
        max_rows=max_rows,
        rng=np.random.default_rng(0),
    )


def test_a_recorded_prediction_reads_back_as_it_was(store: Store) -> None:
    register(store)
    sent = prediction(raw=RawInput("image/png", b"\x89PNG picture"))
    store.predictions.record(MODEL, [sent])
    kept = store.predictions.get(sent.id)
    assert kept is not None
    assert (kept.id, kept.at, kept.prediction, kept.confidence, kept.tags) == (
        sent.id,
        sent.at,
        "a",
        0.75,
        {"site": "berlin"},
    )
    assert (kept.ood_score, kept.ood_p_value, kept.flagged) == (1.5, 0.25, False)
    np.testing.assert_array_equal(kept.embedding, sent.embedding)
    np.testing.assert_array_equal(kept.logits, sent.logits)
    assert kept.raw_input == RawInput("image/png", b"\x89PNG picture")


def test_a_batch_that_breaks_a_rule_is_recorded_not_at_all(store: Store) -> None:
    register(store)
    twice = prediction()
    with pytest.raises(StoreUnavailable, match="Nothing was recorded"):
        store.predictions.record(MODEL, [prediction(), twice, twice])
    assert store.predictions.count() == 0


def test_instants_come_back_in_utc_whatever_zone_they_were_given_in(store: Store) -> None:
    register(store)
    elsewhere = START.astimezone(tz=datetime.now().astimezone().tzinfo)
    sent = prediction()
    store.predictions.record(MODEL, [sent])
    kept = store.predictions.get(sent.id)
    assert kept is not None
    assert kept.at == elsewhere
    assert kept.at.utcoffset() == timedelta(0)


def test_a_window_holds_what_came_after_its_start_up_to_its_end(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(second, flagged=second == 2) for second in range(5)])
    window = store.predictions.window(
        MODEL, START, START + timedelta(seconds=3), max_rows=100, rng=np.random.default_rng(0)
    )
    assert (window.total, window.scored_total, window.flagged_total) == (3, 3, 1)
    assert [at.second for at in window.at] == [1, 2, 3]
    assert window.flagged.tolist() == [False, True, False]
    assert window.embeddings.shape == (3, 3)


def test_a_large_window_is_sampled_but_counted_whole(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(second / 10, flagged=second % 4 == 0) for second in range(200)])
    window = window_of(store, 60, max_rows=50)
    assert (window.total, window.flagged_total, len(window.ids)) == (200, 50, 50)
    again = window_of(store, 60, max_rows=50)
    assert window.ids == again.ids


def test_an_empty_window_has_no_rows_and_no_surprises(store: Store) -> None:
    register(store)
    window = window_of(store, 60)
    assert (window.total, window.flagged_total, window.ids) == (0, 0, [])
    assert window.embeddings.shape[0] == 0


def test_predictions_without_a_reference_are_counted_as_not_scored(store: Store) -> None:
    register(store, reference=None)
    store.predictions.record(MODEL, [prediction(1, flagged=None), prediction(2)])
    window = window_of(store, 60)
    assert (window.total, window.scored_total) == (2, 1)
    assert np.isnan(window.scores[0])


def test_the_start_of_the_last_n_predictions(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(second) for second in range(10)])
    end = START + timedelta(hours=1)
    assert store.predictions.start_of_last(MODEL, 3, end) == START + timedelta(seconds=6)
    assert store.predictions.start_of_last(MODEL, 30, end) is None


def test_flagged_predictions_are_counted_in_equal_stretches_of_time(store: Store) -> None:
    register(store)
    store.predictions.record(MODEL, [prediction(second + 0.5, flagged=second >= 3) for second in range(4)])
    counts = store.predictions.flagged_over_time(MODEL, START, START + timedelta(seconds=4), 2)
    assert [(count.total, count.flagged) for count in counts] == [(2, 0), (2, 1)]


def test_old_inputs_are_forgotten_and_their_predictions_kept(store: Store) -> None:
    register(store)
    old, new = prediction(0, raw=RawInput("image/png", b"old")), prediction(100, raw=RawInput("image/png", b"new"))
    store.predictions.record(MODEL, [old, new])
    keep = store.database.settings.keep_inputs_days
    assert Retention(store.database).forget(START + timedelta(days=keep, seconds=50)).inputs == 1
    assert set(store.predictions.raw_inputs([old.id, new.id])) == {new.id}
    assert store.predictions.count() == 2


def test_a_model_registered_again_keeps_its_predictions_and_takes_the_new_reference(store: Store) -> None:
    register(store, reference=None)
    store.predictions.record(MODEL, [prediction()])
    register(store, reference=b"later")
    kept = store.models.get(MODEL)
    assert kept.reference_sha256 is not None
    assert store.models.reference(kept.reference_sha256) == b"later"
    assert store.predictions.count(MODEL) == 1


def test_what_is_not_there_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(NotFound):
        store.models.get("b" * 64)
    with pytest.raises(NotFound):
        store.runs.get(new_id())
    with pytest.raises(NotFound):
        store.reports.document(new_id())


def test_a_run_reads_back_with_its_results(store: Store) -> None:
    register(store)
    result = CheckResult("flagged_share", Verdict.SHIFTED, "said", 0.5, 1e-300, 0.4, "excess", {"alpha": 0.01})
    run = run_record(START, Verdict.SHIFTED, [result])
    with store.writing() as transaction:
        store.runs.add(transaction, run)
    assert store.runs.get(run.id) == run


def test_windows_without_a_verdict_stay_open(store: Store) -> None:
    register(store)
    assert store.runs.last_judged_until(MODEL) is None
    for minutes, verdict in ((1, Verdict.OK), (2, Verdict.NOT_ENOUGH_DATA), (3, Verdict.FAILED)):
        with store.writing() as transaction:
            store.runs.add(transaction, run_record(START + timedelta(minutes=minutes), verdict))
    assert store.runs.last_judged_until(MODEL) == START + timedelta(minutes=1)


def firing(store: Store, destinations: Sequence[str] = ("log",)) -> UUID:
    run = run_record(START, Verdict.SHIFTED)
    alert = AlertRecord(new_id(), MODEL, "flagged_share", AlertState.FIRING, START, START, run.id, "said")
    with store.writing() as transaction:
        store.runs.add(transaction, run)
        store.alerts.save(transaction, alert)
        event = store.alerts.add_event(transaction, alert, START)
        store.deliveries.owe(transaction, event, destinations)
    return event.id


def test_a_change_of_state_and_its_message_are_written_together_or_not_at_all(store: Store) -> None:
    register(store)
    run = run_record(START, Verdict.SHIFTED)
    alert = AlertRecord(new_id(), MODEL, "flagged_share", AlertState.FIRING, START, START, run.id, "said")

    def write_and_die() -> None:
        with store.writing() as transaction:
            store.runs.add(transaction, run)
            store.alerts.save(transaction, alert)
            store.deliveries.owe(transaction, store.alerts.add_event(transaction, alert, START), ["log"])
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        write_and_die()
    assert store.alerts.all() == []
    assert store.deliveries.due(START + timedelta(days=1)) == []


def test_there_is_one_alert_per_model_and_check(store: Store) -> None:
    register(store)
    firing(store)
    with pytest.raises(StoreUnavailable):
        firing(store)
    assert len(store.alerts.all(AlertState.FIRING)) == 1


def test_a_message_is_due_until_it_is_sent_or_given_up(store: Store) -> None:
    register(store)
    event = firing(store, ["log", "https://example.org/hook"])
    log, hook = sorted(store.deliveries.due(START), key=lambda delivery: delivery.destination, reverse=True)
    assert {log.event.id, hook.event.id} == {event}
    store.deliveries.mark_sent(log.id)
    store.deliveries.retry(hook.id, "answered 500", START + timedelta(seconds=10))
    assert store.deliveries.due(START) == []
    (later,) = store.deliveries.due(START + timedelta(seconds=10))
    assert (later.id, later.attempts) == (hook.id, 1)
    store.deliveries.give_up(hook.id, "answered 410")
    assert store.deliveries.counts() == {DeliveryState.PENDING: 0, DeliveryState.SENT: 1, DeliveryState.DEAD: 1}


def test_two_monitors_never_hold_the_same_message(store: Store) -> None:
    register(store)
    firing(store)
    (delivery,) = store.deliveries.due(START)
    assert store.deliveries.claim(delivery, START + timedelta(minutes=2))
    assert not store.deliveries.claim(delivery, START + timedelta(minutes=2))
    # The holder died: the message is due again, under the same id.
    (again,) = store.deliveries.due(START + timedelta(minutes=2))
    assert again.event.id == delivery.event.id


def test_a_report_reads_back_and_replaces_the_one_before(store: Store) -> None:
    register(store)
    run = run_record(START)
    with store.writing() as transaction:
        store.runs.add(transaction, run)
    store.reports.save(run.id, START, {"verdict": "ok"}, None)
    assert not store.reports.has_columns_page(run.id)
    store.reports.save(run.id, START, {"verdict": "shifted", "words": "ä → ∞"}, "<html>columns</html>")
    assert store.reports.document(run.id) == {"verdict": "shifted", "words": "ä → ∞"}
    assert store.reports.columns_page(run.id) == "<html>columns</html>"
    assert [entry.run_id for entry in store.reports.recent()] == [run.id]


def pin(store: Store, name: str, content: bytes = b"rows", sha256: str = MODEL) -> BaselineRecord:
    with store.writing() as transaction:
        return store.baselines.pin(
            transaction,
            NewBaseline(
                model_sha256=sha256,
                name=name,
                since=START,
                until=START + timedelta(hours=1),
                count=3,
                content=content,
                certificate={"passed": True},
            ),
        )


def test_a_baseline_reads_back_the_latest_is_active_and_versions_follow(store: Store) -> None:
    register(store)
    first, second, other = pin(store, "calm"), pin(store, "calm", b"more"), pin(store, "autumn")
    assert (first.label, second.label, other.label) == ("calm v1", "calm v2", "autumn v1")
    assert store.baselines.active(MODEL) == other
    assert store.baselines.content(second.id) == b"more"
    with store.writing() as transaction:
        store.baselines.activate(transaction, first.id, MODEL)
    active = store.baselines.active(MODEL)
    assert active is not None
    assert (active.label, active.certificate) == ("calm v1", {"passed": True})
    with store.writing() as transaction:
        store.baselines.deactivate(transaction, MODEL)
    assert store.baselines.active(MODEL) is None
    with pytest.raises(NotFound):
        store.baselines.content(new_id())


def test_an_alarm_is_kept_as_it_last_was_until_it_is_forgotten(store: Store) -> None:
    register(store)
    for state in ("{}", '{"seen": 3}'):
        with store.writing() as transaction:
            store.alarms.save(transaction, AlarmRecord(MODEL, "ood_score", "b" * 64, state, START))
    assert store.alarms.of_model(MODEL) == {
        "ood_score": AlarmRecord(MODEL, "ood_score", "b" * 64, '{"seen": 3}', START)
    }
    with store.writing() as transaction:
        store.alarms.forget(transaction, MODEL)
    assert store.alarms.all() == []


def rollup(count: int, *, width: int = 2) -> Rollup:
    values = np.linspace(0, 1, count)
    features = np.full(width, float(count))
    return Rollup(count, count, 1, count, count / 2, QuantileSketch.of(values), QuantileSketch.of(values), features)


def save_rollups(store: Store, *rollups: tuple[RollupKey, Rollup]) -> None:
    with store.writing() as transaction:
        store.rollups.save(transaction, rollups)


def test_rollups_of_two_writers_lie_beside_each_other_and_each_replaces_its_own(store: Store) -> None:
    register(store)
    one, two = (RollupKey(MODEL, 60, START, "", "c" * 64, new_id()) for _ in range(2))
    for stretch, count in ((one, 1), (two, 5), (one, 3)):
        save_rollups(store, (stretch, rollup(count)))
    until = START + timedelta(minutes=1)
    found = store.rollups.between(MODEL, START, until)
    assert sorted((rollup.count, len(rollup.scores)) for _, rollup in found) == [(3, 3), (5, 5)]
    whole = store.rollups.sums(MODEL, START, until, "c" * 64)[""]
    assert (whole.count, whole.features[1]) == (8, 8.0)
    assert store.rollups.between(MODEL, START, START) == []
    assert store.rollups.sums(MODEL, START, until, "d" * 64) == {}
    assert store.rollups.counts(MODEL, START, until) == {START: 8}


def test_old_minutes_become_hours_and_old_hours_days_and_nothing_is_lost(store: Store) -> None:
    register(store)
    for minute in range(0, 150, 7):
        start = START + timedelta(minutes=minute)
        save_rollups(store, (RollupKey(MODEL, 60, start, "", "c" * 64, new_id()), rollup(10)))
        hour = RollupKey(MODEL, 3_600, START + timedelta(hours=minute // 60), "site=berlin", "c" * 64, new_id())
        save_rollups(store, (hour, rollup(4)))
    for days, widths in ((0.05, {60, 3_600}), (1, {3_600}), (90, {86_400})):
        store.rollups.roll_up(START + timedelta(days=days))
        day = START - timedelta(hours=12), START + timedelta(days=2)
        found = store.rollups.between(MODEL, *day)
        sums = store.rollups.sums(MODEL, *day, "c" * 64, ["", "site=berlin"])
        assert {name: (one.count, one.features[0]) for name, one in sums.items()} == {
            "": (220, 220.0),
            "site=berlin": (88, 88.0),
        }
        assert {name: one.count for name, one in store.rollups.by_slice(MODEL, *day).items()} == {"site=berlin": 88}
        assert sum(one.count for _, one in found) == 220
        assert sum(len(one.scores) for _, one in found) == 220
        slices = store.rollups.between(MODEL, *day, slice_="site=berlin")
        assert sum(one.count for _, one in slices) == 88
        assert {stretch.seconds for stretch, _ in (*found, *slices)} == widths
        # A second time finds nothing more to do.
        assert store.rollups.roll_up(START + timedelta(days=days)) == 0


def test_an_hour_is_replaced_whole(store: Store) -> None:
    register(store)
    until = START + timedelta(hours=2)
    for minute in (0, 59, 60):
        start = START + timedelta(minutes=minute)
        save_rollups(store, (RollupKey(MODEL, 60, start, "", "c" * 64, new_id()), rollup(10)))
    save_rollups(store, (RollupKey(MODEL, 3_600, START, "site=berlin", "c" * 64, new_id()), rollup(4)))
    with store.writing() as transaction:
        again = (RollupKey(MODEL, 60, START, "", "d" * 64, new_id()), rollup(3))
        store.rollups.replace(transaction, MODEL, START, [again])
    assert store.rollups.counts(MODEL, START, until) == {START: 3, START + timedelta(hours=1): 10}
    assert store.rollups.between(MODEL, START, until, slice_="site=berlin") == []


def test_frozen_evidence_reads_back(store: Store) -> None:
    register(store)
    run = run_record(START)
    with store.writing() as transaction:
        store.runs.add(transaction, run)
        store.evidence.freeze(transaction, run.id, {"ids": ["1"], "seed": "s"})
    assert store.evidence.get(run.id) == {"ids": ["1"], "seed": "s"}
    with pytest.raises(NotFound, match="raised no alert"):
        store.evidence.get(new_id())


def test_a_group_of_new_inputs_is_kept_as_it_last_was(store: Store) -> None:
    register(store)
    group = GroupRecord(new_id(), MODEL, 1, np.array([0.6, 0.8], np.float32), 0.1, START, START, 9)
    for count in (9, 20):
        with store.writing() as transaction:
            store.groups.save(transaction, replace(group, count=count))
    (found,) = store.groups.of_model(MODEL)
    assert (found.number, found.count, found.first_seen) == (1, 20, START)
    np.testing.assert_array_equal(found.centre, group.centre)


def test_the_stream_holds_every_prediction_in_order_of_arrival(store: Store) -> None:
    register(store)
    unscored = prediction(2.0, flagged=None)
    strange = replace(prediction(1.0, flagged=True), ood_score=None)
    store.predictions.record(MODEL, [unscored, strange, prediction(0.0)])
    stream = store.predictions.stream(MODEL, START - timedelta(seconds=1), START + timedelta(hours=1))
    assert stream.at == [START + timedelta(seconds=place) for place in (0, 1, 2)]
    np.testing.assert_array_equal(stream.scores, [1.5, np.inf, np.nan])
    assert store.predictions.stream(MODEL, START, START).at == []
    assert store.counters.per_day(MODEL, START + timedelta(hours=1)) == 3
    assert store.counters.per_day(MODEL, START - timedelta(days=9)) == 0
    window = store.predictions.rows([strange.id, unscored.id, new_id()])
    assert window.ids == [strange.id, unscored.id]
