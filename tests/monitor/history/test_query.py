"""The history of a model as values: bars that cover a span, and slices tested against all other predictions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from monitor.history.query import (
    CONFIDENCE_SHARES,
    SCORE_SHARES,
    SLICES_SHOWN,
    SPANS,
    check_last_day,
    compare_slices,
    read_history,
)
from monitor.history.writer import HistoryWriter
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.shift.window_sums import WindowSums
from store.errors import NotFound
from store.rollups.rollups import ALL
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_late_arrivals import late
from tests.monitor.passes.test_monitor_pass import MODEL, register

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)
Rows = tuple[np.ndarray, np.ndarray]


def answer(store: Store, reference: Reference, rows: Rows, at: datetime, site: str) -> None:
    """Record predictions and add them up, as a gateway does."""
    batch = replace(late(store, reference, rows, at), tags=[{"site": site}] * len(rows[0]))
    store.predictions.record_batches([batch])
    writer = HistoryWriter(store, MODEL, reference)
    writer.add(batch, reference.score(batch.embeddings, batch.logits))
    writer.stop()


@pytest.mark.parametrize(("span", "bars"), [("day", 24), ("week", 28), ("month", 30), ("quarter", 90)])
def test_bars_are_of_one_width_and_the_last_one_holds_the_end(span: str, bars: int) -> None:
    starts, width = SPANS[span].bar_starts(NOW), timedelta(seconds=SPANS[span].seconds)
    assert len(starts) == bars
    assert {later - earlier for earlier, later in pairwise(starts)} == {width}
    assert starts[-1] <= NOW < starts[-1] + width


def test_a_slice_that_differs_from_the_others_is_detected_and_its_equals_are_not(
    reference: Reference, population: Population
) -> None:
    rng = np.random.default_rng(0)
    rows = {name: reference.rows(*population.draw(400, rng)[:2]) for name in ("site=berlin", "site=paris")}
    rows["site=rome"] = reference.rows(*population.strangers(400, rng))
    rows["site=oslo"] = reference.rows(*population.draw(150, rng)[:2])
    sums = {name: WindowSums.of(reference, slice_rows) for name, slice_rows in rows.items()}
    everything = sums["site=berlin"] + sums["site=paris"] + sums["site=rome"] + sums["site=oslo"]
    tests = compare_slices(reference, {**sums, ALL: everything})
    # Too small a slice is not tested, nor are all predictions.
    assert set(tests) == {"site=berlin", "site=paris", "site=rome"}
    assert tests["site=rome"].detected
    equals = {name: sums[name] for name in ("site=berlin", "site=paris")}
    tests = compare_slices(reference, {**equals, ALL: equals["site=berlin"] + equals["site=paris"]})
    assert not any(test.detected for test in tests.values())


def test_slices_without_a_sum_of_all_predictions_are_not_tested(reference: Reference, population: Population) -> None:
    rows = reference.rows(*population.draw(400, np.random.default_rng(0))[:2])
    assert compare_slices(reference, {"site=berlin": WindowSums.of(reference, rows)}) == {}


def test_a_history_holds_counts_quantiles_and_tested_slices(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    rng = np.random.default_rng(0)
    answer(sqlite_store, reference, population.draw(300, rng)[:2], NOW - timedelta(hours=3), "berlin")
    answer(sqlite_store, reference, population.strangers(250, rng), NOW - timedelta(hours=2), "rome")
    model = sqlite_store.models.get(MODEL)
    history = read_history(sqlite_store, model, reference, "day", NOW)
    assert [bar.count for bar in history.bars] == [0] * 20 + [300, 250, 0, 0]
    berlin, rome = history.bars[20], history.bars[21]
    assert berlin.flagged_share is not None
    assert rome.flagged_share is not None
    assert berlin.flagged_share < 0.1 < rome.flagged_share
    assert berlin.score is not None
    assert berlin.confidence is not None
    assert (len(berlin.score), len(berlin.confidence)) == (len(SCORE_SHARES), len(CONFIDENCE_SHARES))
    assert (history.bars[0].score, history.bars[0].flagged_share) == (None, None)
    assert history.expected == reference.flagged_law.expected_share
    assert history.threshold == reference.threshold
    assert [(summary.slice, summary.count) for summary in history.slices] == [("site=berlin", 300), ("site=rome", 250)]
    assert all(summary.detected for summary in history.slices)
    # A month of sums is too much to read for a page.
    month = read_history(sqlite_store, model, reference, "month", NOW)
    assert [(summary.count, summary.p_value) for summary in month.slices] == [(300, None), (250, None)]
    without = read_history(sqlite_store, model, None, "day", NOW)
    assert (without.expected, without.threshold, without.slices[0].p_value) == (None, None, None)


def test_of_many_slices_the_largest_are_shown(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    rng = np.random.default_rng(0)
    batch = late(sqlite_store, reference, population.draw(26, rng)[:2], NOW - timedelta(hours=1))
    sites = [f"site {index}" for index in range(SLICES_SHOWN + 5)]
    batch = replace(batch, tags=[{"site": site} for site in [*sites, sites[-1]]])
    writer = HistoryWriter(sqlite_store, MODEL, reference)
    writer.add(batch, None)
    writer.stop()
    history = read_history(sqlite_store, sqlite_store.models.get(MODEL), reference, "day", NOW)
    assert (len(history.slices), history.slices_not_shown) == (SLICES_SHOWN, 5)
    assert (history.slices[0].slice, history.slices[0].count) == (f"site={sites[-1]}", 2)


def test_there_is_no_history_of_a_century(sqlite_store: Store, reference: Reference) -> None:
    register(sqlite_store, encode(reference))
    with pytest.raises(NotFound, match="ask for day, week, month, quarter"):
        read_history(sqlite_store, sqlite_store.models.get(MODEL), reference, "century", NOW)


def test_the_last_day_is_tested_once_it_has_enough_predictions(
    sqlite_store: Store, reference: Reference, population: Population
) -> None:
    register(sqlite_store, encode(reference))
    model, rng = sqlite_store.models.get(MODEL), np.random.default_rng(0)
    answer(sqlite_store, reference, population.draw(150, rng)[:2], NOW - timedelta(hours=3), "berlin")
    assert check_last_day(sqlite_store, model, reference, NOW) is None
    answer(sqlite_store, reference, population.draw(150, rng)[:2], NOW - timedelta(hours=2), "berlin")
    healthy = check_last_day(sqlite_store, model, reference, NOW)
    assert healthy is not None
    assert (healthy.n, healthy.detected) == (300, False)
    answer(sqlite_store, reference, population.strangers(150, rng), NOW - timedelta(hours=1), "berlin")
    shifted = check_last_day(sqlite_store, model, reference, NOW)
    assert shifted is not None
    assert shifted.detected
