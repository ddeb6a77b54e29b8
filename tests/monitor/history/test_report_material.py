"""What a drift report draws beside its window is read at once, and only what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import numpy as np
import pytest

from monitor.history.report_material import (
    COLUMN_ROWS,
    GROUPS_SHOWN,
    INPUTS_OF_A_GROUP,
    STRANGEST_INPUTS,
    TIME_BINS,
    TYPICAL_INPUTS,
    column_rows,
    group_rows,
    read_report_material,
    strangest_rows,
    typical_rows,
)
from monitor.passes.monitor_pass import PassResult
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from store.recording.prediction_batch import RawInput
from store.repositories.predictions import FlaggedCount
from store.store import Store
from tests.conftest import Population
from tests.monitor.passes.test_monitor_pass import look, register, serve


@dataclass
class Inputs:
    """Gives an input for every prediction, and remembers what it was asked for."""

    ids: list[UUID] = field(default_factory=list)
    bins: list[int] = field(default_factory=list)

    def raw_inputs(self, ids: Sequence[UUID]) -> dict[UUID, RawInput]:
        self.ids += ids
        return {id_: RawInput("text/plain", b"text") for id_ in ids}

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        self.bins.append(bins)
        return [FlaggedCount(since, until, 1, 0)]


@pytest.fixture
def shifted(sqlite_store: Store, reference: Reference, population: Population) -> PassResult:
    register(sqlite_store, encode(reference))
    rng = np.random.default_rng(0)
    serve(sqlite_store, reference, *population.draw(240, rng)[:2])
    serve(sqlite_store, reference, *population.strangers(60, rng))
    return look(sqlite_store)


def test_the_inputs_of_the_rows_that_are_shown_are_read_once_each(shifted: PassResult) -> None:
    inputs = Inputs()
    material = read_report_material(shifted, inputs)
    rows = [*strangest_rows(shifted), *typical_rows(shifted)]
    for group in shifted.groups[:GROUPS_SHOWN]:
        rows += group_rows(group)
    assert set(inputs.ids) == {shifted.recorded.ids[row] for row in rows}
    assert len(inputs.ids) == len(set(inputs.ids))
    assert len(rows) <= STRANGEST_INPUTS + TYPICAL_INPUTS + GROUPS_SHOWN * INPUTS_OF_A_GROUP
    assert set(material.raw_inputs) == set(inputs.ids)
    assert inputs.bins == [TIME_BINS]
    assert len(material.flagged_counts) == 1


def test_the_rows_of_a_table_are_read_for_the_page_on_columns_only(shifted: PassResult) -> None:
    table = replace(shifted, model=replace(shifted.model, application="tabular"))
    assert len(read_report_material(table, Inputs()).raw_inputs) < 50
    assert len(read_report_material(table, Inputs(), with_columns=True).raw_inputs) == 300
    # Pictures are no columns.
    assert len(read_report_material(shifted, Inputs(), with_columns=True).raw_inputs) < 50


def test_a_window_without_a_reference_reads_nothing(shifted: PassResult) -> None:
    inputs = Inputs()
    material = read_report_material(replace(shifted, reference=None, test=None, groups=()), inputs)
    assert (inputs.ids, inputs.bins) == ([], [])
    assert (material.raw_inputs, material.flagged_counts) == ({}, [])


def test_an_input_that_is_not_finite_is_the_strangest(shifted: PassResult) -> None:
    shifted.recorded.scores[5] = np.nan
    assert strangest_rows(shifted)[0] == 5


def test_a_large_window_is_thinned_out_evenly(shifted: PassResult) -> None:
    recorded = shifted.recorded
    assert recorded.ids[column_rows(recorded)] == recorded.ids
    large = replace(recorded, ids=recorded.ids * 20)
    assert len(large.ids[column_rows(large)]) == COLUMN_ROWS
