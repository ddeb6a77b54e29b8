"""Evidently's page is made of any columns that JSON can bring."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from monitor.history.report_material import ReportMaterial
from monitor.passes.monitor_pass import PassResult
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from reports.columns_page import ColumnsPage, columns_page
from store.recording.prediction_batch import RawInput
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import look, register, serve

ROWS = 200


@pytest.fixture
def judged(sqlite_store: Store, reference: Reference, population: Population) -> PassResult:
    register(sqlite_store, encode(reference))
    serve(sqlite_store, reference, *population.draw(ROWS, np.random.default_rng(0))[:2])
    return look(sqlite_store)


def page_of(
    judged: PassResult, before: Callable[[int], dict[str, Any]], now: Callable[[int], dict[str, Any]]
) -> ColumnsPage:
    """The page of a table whose rows these functions make of their numbers."""
    assert judged.reference is not None
    table = replace(
        judged,
        model=replace(judged.model, application="tabular"),
        reference=replace(judged.reference, columns=[before(row) for row in range(300)]),
    )
    inputs = {
        prediction_id: RawInput("application/json", orjson.dumps(now(row)))
        for row, prediction_id in enumerate(judged.recorded.ids)
    }
    return columns_page(table, ReportMaterial(inputs, []))


def usual(row: int) -> dict[str, Any]:
    return {"x": float(row % 17), "kind": "abc"[row % 3]}


# Each makes a value of a row's number.
ODD: dict[str, Callable[[int], Any]] = {
    "true and false": lambda row: row % 5 == 0,
    "dates": lambda row: f"2020-01-{row % 28 + 1:02}T00:00:00",
    "never there": lambda row: None,
    "often missing": lambda row: None if row % 2 else row,
    "one value": lambda row: 1.0,
    "one word": lambda row: "same",
    "always true": lambda row: True,
    "mixed": lambda row: [1, "a", None, True, 2.5][row % 5],
    "a word for each row": lambda row: f"user {row}",
    "whole numbers": lambda row: row % 4,
    "huge": lambda row: 1e300 if row % 2 else -1e300,
}


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore")
def test_odd_columns_on_either_side_are_drawn(judged: PassResult) -> None:
    everything = {name: make for name, make in ODD.items() if name != "huge"}
    page = page_of(
        judged,
        lambda row: usual(row) | {name: make(row) for name, make in everything.items()} | {"only before": row},
        lambda row: usual(row) | {name: make(row) for name, make in everything.items()} | {"only now": row},
    )
    assert page.reason is None
    assert page.html is not None
    for name in everything:
        assert (f'"{name}"' in page.html or name in page.html) == (name != "never there"), name
    assert "only before" not in page.html
    assert "only now" not in page.html
    assert "other values" in page.html, "thousands of users are counted together"


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(ODD))
def test_a_column_that_turned_odd_is_drawn_or_refused_in_words(judged: PassResult, name: str) -> None:
    page = page_of(judged, usual, lambda row: usual(row) | {"x": ODD[name](row)})
    assert (page.html is None) == (page.reason is not None)
    assert page.html is not None, page.reason


def test_without_a_reference_the_reason_is_said(judged: PassResult) -> None:
    page = columns_page(replace(judged, reference=None), ReportMaterial({}, []))
    assert page == ColumnsPage(None, "There is no reference to compare columns with.")
