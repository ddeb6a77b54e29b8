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
from monitor.reference.file import encode
from monitor.reference.profile import Reference
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import WindowSums, sums_of
from store.database.tables import PredictionRow, RollupRow
from store.errors import LeaseLost
from store.recording.batches import PredictionBatch
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
    for place, minute in enumerate(minutes):
        batch = late(store, reference, population.draw(10, rng)[:2], HOUR + timedelta(minutes=minute))
        made.append(replace(batch, tags=[{"site": ("berlin", "paris")[place % 2]}] * 10))
    return made


def written(store: Store, reference: Reference, given: list[PredictionBatch]) -> None:
    """As a gateway does: each is recorded, then added up."""
    writer = HistoryWriter(store, MODEL, reference)
    for batch in given:
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
    given = batches(store, reference, population, [0, 0.5, 1, 59, 61, 0.2])
    written(store, reference, given)
    found = whole(store, reference)
    rows = reference.rows(
        np.concatenate([batch.embeddings for batch in given]), np.concatenate([batch.logits for batch in given])
    )
    expected = WindowSums.of(reference, rows)
    assert (found.count, found.scored, found.confident) == (60, 60, 60)
    assert found.flagged == expected.flagged == sum(batch.flagged.count(True) for batch in given)
    np.testing.assert_allclose(sums_of(reference, found).features, expected.features, atol=0.02)
    assert found.confidence_sum == pytest.approx(sum(one or 0.0 for batch in given for one in batch.confidences))
    assert len(found.scores) == 60
    assert [whole(store, reference, f"site={site}").count for site in ("berlin", "paris")] == [30, 30]
    assert store.rollups.counts(MODEL, *WHOLE) == store.counters.counts(MODEL, *WHOLE)


def test_a_minute_that_comes_again_later_adds_to_what_was_written(
    store: Store, reference: Reference, population: Population
) -> None:
    register(store, encode(reference))
    first, second = batches(store, reference, population, [0, 5]), batches(store, reference, population, [0.5])
    written(store, reference, first)
    written(store, reference, second)
    assert whole(store, reference).count == 30


@pytest.mark.parametrize("lost", ["killed before it wrote", "added twice", "nothing ever added"])
def test_an_hour_that_differs_from_the_record_is_added_up_again(
    store: Store, reference: Reference, population: Population, lost: str
) -> None:
    register(store, encode(reference))
    given = batches(store, reference, population, [0, 1, 30])
    written(store, reference, given if lost == "added twice" else given[:1])
    if lost == "added twice":
        # The same rows, sent again: recorded once, and the second gateway knows nothing of the first.
        written(store, reference, given[:1])
    else:
        store.predictions.record_batches(given[1:])
    assert whole(store, reference).count != 30
    model = store.models.get(MODEL)
    # While the hour goes on nothing is touched: gateways are still adding to it.
    assert reconcile_history(store, model, HOUR + timedelta(minutes=59), no_fence) == 0
    assert reconcile_history(store, model, HOUR + timedelta(minutes=63), no_fence) == 1
    found = whole(store, reference)
    rows = reference.rows(
        np.concatenate([batch.embeddings for batch in given]), np.concatenate([batch.logits for batch in given])
    )
    assert found.count == 30
    # Recorded embeddings are float16.
    np.testing.assert_allclose(
        sums_of(reference, found).features, WindowSums.of(reference, rows).features, rtol=0.02, atol=1.0
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
    given = batches(sqlite_store, reference, population, [0, 70])
    written(sqlite_store, reference, given)
    model, late = sqlite_store.models.get(MODEL), HOUR + timedelta(hours=3)
    assert reconcile_history(sqlite_store, model, late, no_fence) == 0
    with sqlite_store.writing() as session:
        # As retention forgets predictions: their tallies and rollups stay.
        session.execute(delete(PredictionRow).where(PredictionRow.id.in_(given[0].ids)))
        session.execute(delete(RollupRow))
    assert reconcile_history(sqlite_store, model, late, no_fence) == 1
    assert sqlite_store.rollups.counts(MODEL, *WHOLE) == {HOUR + timedelta(hours=1): 10}
    assert reconcile_history(sqlite_store, model, late, no_fence) == 0


def test_a_model_without_a_reference_has_a_history_too(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, None)
    (batch,) = batches(sqlite_store, reference, population, [0])
    nothing: list[Any] = [None] * len(batch)
    batch = replace(batch, ood_scores=nothing, ood_p_values=nothing, flagged=nothing)
    writer = HistoryWriter(sqlite_store, MODEL, None)
    writer.add(batch, None)
    writer.stop()
    ((_, found),) = sqlite_store.rollups.between(MODEL, *WHOLE)
    assert (found.count, found.scored, found.confident, found.scores.at([0.5])) == (10, 0, 10, None)
    assert reconcile_history(sqlite_store, sqlite_store.models.get(MODEL), HOUR + timedelta(hours=2), no_fence) == 1
    assert sqlite_store.rollups.counts(MODEL, *WHOLE) == {}


def test_callers_make_only_so_many_slices() -> None:
    slices = Slices()
    assert slices.names_of({"site": "berlin", "floor": 3, "open": None}) == ["site=berlin", "floor=3", "open=None"]
    found = {one for place in range(1_000) for one in slices.names_of({"user": place})}
    assert len(found) == MOST_VALUES + 1
    assert f"user={OTHERS}" in found
    names = {one.partition("=")[0] for place in range(100) for one in slices.names_of({f"tag {place}": 1})}
    assert len(names) == MOST_TAGS - 4
    assert slices.names_of(None) == []
    assert all(len(one) <= 121 for one in slices.names_of({"site": "x" * 10_000}))
