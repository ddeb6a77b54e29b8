"""Predictions that come after their window was judged: it is judged again, once, and nothing is counted twice."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from monitor.passes.run_passes import WindowClock, run_passes
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.settings import MonitorSettings
from store.clock import new_id
from store.errors import LeaseLost
from store.recording.prediction_batch import PredictionBatch
from store.repositories.runs import RunRecord, Verdict
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import MODEL, register, serve


def late(store: Store, reference: Reference, rows: tuple[np.ndarray, np.ndarray], at: datetime) -> PredictionBatch:
    """Predictions of an earlier instant, as a spool or another service brings them."""
    embeddings, logits = rows
    n, scores = len(embeddings), reference.score(embeddings, logits)
    missing = [None] * n
    return PredictionBatch(
        model_sha256=MODEL,
        ids=[new_id() for _ in range(n)],
        at=[at] * n,
        predictions=["abcde"[index] for index in logits.argmax(axis=1)],
        class_indices=logits.argmax(axis=1).tolist(),
        confidences=softmax(logits, axis=1).max(axis=1).tolist(),
        ood_scores=scores.score.tolist(),
        ood_p_values=scores.p_value.tolist(),
        flagged=scores.flagged.tolist(),
        latencies_seconds=[0.01] * n,
        tags=list(missing),
        mirrors=list(missing),
        embeddings=embeddings,
        logits=logits,
        raw_inputs=list(missing),
        repeatable=True,
    )


def runs_of_look(store: Store, now: datetime | None = None) -> list[RunRecord]:
    clock = WindowClock(None if now is None else (lambda: now), settle=lambda _seconds: None)
    return [result.run for result in run_passes(store, MonitorSettings(), clock)]


def test_a_window_is_judged_again_with_what_came_late(
    store: Store, reference: Reference, population: Population
) -> None:
    rng = np.random.default_rng(0)
    register(store, encode(reference))
    serve(store, reference, *population.draw(150, rng)[:2])
    (first,) = runs_of_look(store)
    assert (first.verdict, first.count) == (Verdict.OK, 150)
    strangers = late(store, reference, population.strangers(150, rng), first.until)
    # The spool may bring it twice.
    store.predictions.record_batches([strangers])
    store.predictions.record_batches([strangers])
    again, _ = runs_of_look(store)
    assert (again.since, again.until) == (first.since, first.until)
    assert (again.verdict, again.count) == (Verdict.SHIFTED, 300)
    assert store.runs.get(first.id).replaced_by == again.id
    assert [run.id for run in store.runs.judged(MODEL)] == [again.id]
    # It is the latest window, so its alerts are those of now.
    assert "flagged_share" in {alert.check for alert in store.alerts.all()}
    assert [run.count for run in runs_of_look(store)] == [0]
    assert store.late_arrivals.minutes(MODEL) == {}


def test_an_old_window_is_judged_again_and_raises_no_alert(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    store, rng = sqlite_store, np.random.default_rng(1)
    register(store, encode(reference))
    until = store.jobs.now() - timedelta(days=1)
    windows = []
    for hour in range(6):
        moment = until + timedelta(hours=hour)
        calm = late(store, reference, population.draw(120, rng)[:2], moment - timedelta(minutes=5))
        store.predictions.record_batches([calm])
        windows += [run for run in runs_of_look(store, moment) if run.until == moment]
    assert [run.count for run in windows] == [120] * 6
    strangers = late(store, reference, population.strangers(100, rng), until - timedelta(minutes=5))
    store.predictions.record_batches([strangers])
    again = [run for run in runs_of_look(store, until + timedelta(hours=7)) if run.until == until]
    assert [(run.count, run.verdict) for run in again] == [(220, Verdict.SHIFTED)]
    assert store.alerts.all() == []


def test_after_a_clock_was_set_back_no_prediction_is_missed_or_counted_twice(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    """FAULTS 7: the clock of everything jumps back by an hour, and forward again."""
    store, rng = sqlite_store, np.random.default_rng(2)
    register(store, encode(reference))
    start = store.jobs.now() - timedelta(hours=12)
    moments = [start + timedelta(hours=hour) for hour in (0, 1, 2, 1.5, 2.5, 3.5)]
    for moment in moments:
        batch = late(store, reference, population.draw(110, rng)[:2], moment - timedelta(minutes=1))
        store.predictions.record_batches([batch])
        runs_of_look(store, moment)
    runs_of_look(store, start + timedelta(hours=4))
    standing = store.runs.judged(MODEL)
    assert sum(run.count for run in standing) == 110 * len(moments) == store.predictions.count()
    edges = sorted((run.since, run.until) for run in standing)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(edges))


def test_a_monitor_that_lost_its_lease_writes_nothing(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(150, np.random.default_rng(3))[:2])

    def lost(_transaction: object) -> None:
        raise LeaseLost("another monitor has taken over")

    with pytest.raises(LeaseLost):
        run_passes(sqlite_store, MonitorSettings(), WindowClock(settle=lambda _seconds: None), fence=lost)
    assert sqlite_store.runs.recent() == []
