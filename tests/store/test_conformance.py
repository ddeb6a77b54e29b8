"""What every database must do alike: one suite, run on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from store.clock import new_id
from store.errors import NotFound, StoreUnavailable
from store.maintenance.retention import Retention
from store.recording.prediction_batch import RawInput
from store.repositories.input_groups import GroupRecord
from store.repositories.runs import CheckResult, Verdict
from store.store import Store
from tests.store.records import MODEL, START, prediction, register, run_record


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
    recorded = store.predictions.get(sent.id)
    assert recorded is not None
    assert (recorded.id, recorded.at, recorded.prediction, recorded.confidence, recorded.tags) == (
        sent.id,
        sent.at,
        "a",
        0.75,
        {"site": "berlin"},
    )
    assert (recorded.ood_score, recorded.ood_p_value, recorded.flagged) == (1.5, 0.25, False)
    np.testing.assert_array_equal(recorded.embedding, sent.embedding)
    np.testing.assert_array_equal(recorded.logits, sent.logits)
    assert recorded.raw_input == RawInput("image/png", b"\x89PNG picture")


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
    recorded = store.predictions.get(sent.id)
    assert recorded is not None
    assert recorded.at == elsewhere
    assert recorded.at.utcoffset() == timedelta(0)


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
    recorded = store.models.get(MODEL)
    assert recorded.reference_sha256 is not None
    assert store.models.reference(recorded.reference_sha256) == b"later"
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
    (recorded,) = store.groups.of_model(MODEL)
    assert (recorded.number, recorded.count, recorded.first_seen) == (1, 20, START)
    np.testing.assert_array_equal(recorded.centre, group.centre)


def test_the_stream_holds_every_prediction_in_order_of_arrival(store: Store) -> None:
    register(store)
    unscored = prediction(2.0, flagged=None)
    strange = replace(prediction(1.0, flagged=True), ood_score=None)
    store.predictions.record(MODEL, [unscored, strange, prediction(0.0)])
    stream = store.predictions.stream(MODEL, START - timedelta(seconds=1), START + timedelta(hours=1))
    assert stream.at == [START + timedelta(seconds=second) for second in (0, 1, 2)]
    np.testing.assert_array_equal(stream.scores, [1.5, np.inf, np.nan])
    assert store.predictions.stream(MODEL, START, START).at == []
    assert store.counters.per_day(MODEL, START + timedelta(hours=1)) == 3
    assert store.counters.per_day(MODEL, START - timedelta(days=9)) == 0
    window = store.predictions.rows([strange.id, unscored.id, new_id()])
    assert window.ids == [strange.id, unscored.id]
