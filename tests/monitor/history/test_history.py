"""History: what predictions add up to, written beside the answers and exact in the end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete

from monitor.history.reconcile import reconcile_history
from monitor.history.slices import MOST_TAGS, MOST_VALUES, OTHERS, Slices
from monitor.history.writer import HistoryWriter
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import WindowSums, sums_of
from store.database.tables import PredictionRow, RollupRow
from store.errors import LeaseLost
from store.recording.prediction_batch import PredictionBatch
from store.repositories.jobs import no_fence
from store.rollups.rollups import Rollup
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_late_arrivals import late
from tests.monitor.passes.test_monitor_pass import MODEL, register

HOUR = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHOLE = HOUR - timedelta(days=1), HOUR + timedelta(days=1)


def batches(store: Store, reference: Reference, population: Population, minutes: list[float]) -> list[PredictionBatch]:
    """Ten predictions at each minute, from two sites in turn."""
    rng = np.random.default_rng(0)
    made = []
    for index, minute in enumerate(minutes):
        batch = late(store, reference, population.draw(10, rng)[:2], HOUR + timedelta(minutes=minute))
        made.append(replace(batch, tags=[{"site": ("berlin", "paris")[index % 2]}] * 10))
    return made


def write_history(store: Store, reference: Reference, predicted: list[PredictionBatch]) -> None:
    """As a gateway does: each is recorded, then added up."""
    writer = HistoryWriter(store, MODEL, reference)
    for batch in predicted:
        store.predictions.record_batches([batch])
        writer.add(batch, reference.score(batch.embeddings, batch.logits))
    writer.stop()


def whole(store: Store, reference: Reference, slice_: str = "") -> Rollup:
    """Everything that is known of a slice, sketches and sums of features."""
    total = Rollup()
    for _, rollup in store.rollups.between(MODEL, *WHOLE, slice_=slice_):
        total = total + rollup
    sums = store.rollups.sums(MODEL, *WHOLE, features_of(reference).sha256, [slice_])[slice_]
    assert (sums.count, sums.flagged) == (total.count, total.flagged)
    return replace(total, features=sums.features)


def test_what_a_gateway_writes_is_what_the_rows_add_up_to(
    store: Store, reference: Reference, population: Population
) -> None:
    register(store, encode(reference))
    predicted = batches(store, reference, population, [0, 0.5, 1, 59, 61, 0.2])
    write_history(store, reference, predicted)
    rollup = whole(store, reference)
    rows = reference.rows(
        np.concatenate([batch.embeddings for batch in predicted]), np.concatenate([batch.logits for batch in predicted])
    )
    expected = WindowSums.of(reference, rows)
    assert (rollup.count, rollup.scored, rollup.confident) == (60, 60, 60)
    assert rollup.flagged == expected.flagged == sum(batch.flagged.count(True) for batch in predicted)
    np.testing.assert_allclose(sums_of(reference, rollup).features, expected.features, atol=0.02)
    assert rollup.confidence_sum == pytest.approx(
        sum(value or 0.0 for batch in predicted for value in batch.confidences)
    )
    assert len(rollup.scores) == 60
    assert [whole(store, reference, f"site={site}").count for site in ("berlin", "paris")] == [30, 30]
    assert store.rollups.counts(MODEL, *WHOLE) == store.counters.counts(MODEL, *WHOLE)


def test_a_minute_that_comes_again_later_adds_to_what_was_written(
    store: Store, reference: Reference, population: Population
) -> None:
    register(store, encode(reference))
    first, second = batches(store, reference, population, [0, 5]), batches(store, reference, population, [0.5])
    write_history(store, reference, first)
    write_history(store, reference, second)
    assert whole(store, reference).count == 30


@pytest.mark.parametrize("lost", ["killed before it wrote", "added twice", "nothing ever added"])
def test_an_hour_that_differs_from_the_record_is_added_up_again(
    store: Store, reference: Reference, population: Population, lost: str
) -> None:
    register(store, encode(reference))
    predicted = batches(store, reference, population, [0, 1, 30])
    write_history(store, reference, predicted if lost == "added twice" else predicted[:1])
    if lost == "added twice":
        # The same rows, sent again: recorded once, and the second gateway knows nothing of the first.
        write_history(store, reference, predicted[:1])
    else:
        store.predictions.record_batches(predicted[1:])
    assert whole(store, reference).count != 30
    model = store.models.get(MODEL)
    # While the hour goes on nothing is touched: gateways are still adding to it.
    assert reconcile_history(store, model, HOUR + timedelta(minutes=59), no_fence) == 0
    assert reconcile_history(store, model, HOUR + timedelta(minutes=63), no_fence) == 1
    rollup = whole(store, reference)
    rows = reference.rows(
        np.concatenate([batch.embeddings for batch in predicted]), np.concatenate([batch.logits for batch in predicted])
    )
    assert rollup.count == 30
    # Recorded embeddings are float16.
    np.testing.assert_allclose(
        sums_of(reference, rollup).features, WindowSums.of(reference, rows).features, rtol=0.02, atol=1.0
    )
    assert [whole(store, reference, f"site={site}").count for site in ("berlin", "paris")] == [20, 10]
    assert reconcile_history(store, model, HOUR + timedelta(minutes=64), no_fence) == 0


def test_a_monitor_that_was_replaced_mends_nothing(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    sqlite_store.predictions.record_batches(batches(sqlite_store, reference, population, [0]))

    def lost(_transaction: object) -> None:
        raise LeaseLost("another one has it")

    with pytest.raises(LeaseLost):
        reconcile_history(sqlite_store, sqlite_store.models.get(MODEL), HOUR + timedelta(hours=2), lost)
    assert sqlite_store.rollups.counts(MODEL, *WHOLE) == {}


def test_what_is_forgotten_is_not_added_up_again_and_again(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    predicted = batches(sqlite_store, reference, population, [0, 70])
    write_history(sqlite_store, reference, predicted)
    model, late = sqlite_store.models.get(MODEL), HOUR + timedelta(hours=3)
    assert reconcile_history(sqlite_store, model, late, no_fence) == 0
    with sqlite_store.writing() as session:
        # As retention forgets predictions: their tallies and rollups stay.
        session.execute(delete(PredictionRow).where(PredictionRow.id.in_(predicted[0].ids)))
        session.execute(delete(RollupRow))
    assert reconcile_history(sqlite_store, model, late, no_fence) == 1
    assert sqlite_store.rollups.counts(MODEL, *WHOLE) == {HOUR + timedelta(hours=1): 10}
    assert reconcile_history(sqlite_store, model, late, no_fence) == 0


def test_a_model_without_a_reference_has_a_history_too(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, None)
    (batch,) = batches(sqlite_store, reference, population, [0])
    missing: list[Any] = [None] * len(batch)
    batch = replace(batch, ood_scores=missing, ood_p_values=missing, flagged=missing)
    writer = HistoryWriter(sqlite_store, MODEL, None)
    writer.add(batch, None)
    writer.stop()
    ((_, rollup),) = sqlite_store.rollups.between(MODEL, *WHOLE)
    assert (rollup.count, rollup.scored, rollup.confident, rollup.scores.at([0.5])) == (10, 0, 10, None)
    assert reconcile_history(sqlite_store, sqlite_store.models.get(MODEL), HOUR + timedelta(hours=2), no_fence) == 1
    assert sqlite_store.rollups.counts(MODEL, *WHOLE) == {}


def test_callers_make_only_so_many_slices() -> None:
    slices = Slices()
    assert slices.names_of({"site": "berlin", "floor": 3, "open": None}) == ["site=berlin", "floor=3", "open=None"]
    users = {name for user in range(1_000) for name in slices.names_of({"user": user})}
    assert len(users) == MOST_VALUES + 1
    assert f"user={OTHERS}" in users
    names = {name.partition("=")[0] for tag in range(100) for name in slices.names_of({f"tag {tag}": 1})}
    assert len(names) == MOST_TAGS - 4
    assert slices.names_of(None) == []
    assert all(len(name) <= 121 for name in slices.names_of({"site": "x" * 10_000}))
