"""What a drift report draws beside the judged window itself: the inputs it shows, and flagged counts over time.

It is read here, before anything is drawn. Which rows of the window a report shows is decided here too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import numpy as np

from monitor.checks.window_comparison import WindowTest
from monitor.reference.profile import Reference
from monitor.shift.input_groups import Group
from monitor.shift.table_columns import TABLES
from store.recording.prediction_batch import RawInput
from store.repositories.alerts import AlertEvent
from store.repositories.models import ModelRecord
from store.repositories.predictions import FlaggedCount, RecordedWindow
from store.repositories.runs import RunRecord

STRANGEST_INPUTS = 12
TYPICAL_INPUTS = 8
GROUPS_SHOWN = 5
INPUTS_OF_A_GROUP = 4
TIME_BINS = 24
# Rows of the page on columns; larger windows are thinned out evenly.
COLUMN_ROWS = 2_000


class JudgedWindow(Protocol):
    """A window with everything that was found in it; the result of a monitor's pass is one."""

    @property
    def model(self) -> ModelRecord: ...
    @property
    def reference(self) -> Reference | None: ...
    @property
    def recorded(self) -> RecordedWindow: ...
    @property
    def run(self) -> RunRecord: ...
    @property
    def events(self) -> Sequence[AlertEvent]: ...
    @property
    def test(self) -> WindowTest | None: ...
    @property
    def groups(self) -> Sequence[Group]: ...


class PredictionSource(Protocol):
    """Where the predictions of a window lie; the store's predictions are one."""

    def raw_inputs(self, ids: Sequence[UUID]) -> dict[UUID, RawInput]:
        """The inputs that were kept of these predictions."""
        ...

    def flagged_over_time(self, model_sha256: str, since: datetime, until: datetime, bins: int) -> list[FlaggedCount]:
        """Flagged predictions in equal bins of time; empty for a window without times."""
        ...


@dataclass(frozen=True)
class ReportMaterial:
    """The kept inputs among the rows that are shown, by prediction, and the flagged counts over the window's time."""

    raw_inputs: Mapping[UUID, RawInput]
    flagged_counts: Sequence[FlaggedCount]


def read_report_material(
    window: JudgedWindow, predictions: PredictionSource, *, with_columns: bool = False
) -> ReportMaterial:
    """Read what the report of a window draws.

    Args:
        window: what was judged.
        predictions: where its predictions lie.
        with_columns: read the inputs for the page on columns too.
    """
    recorded = window.recorded
    row_indices = [*strangest_rows(window), *typical_rows(window)]
    for group in window.groups[:GROUPS_SHOWN]:
        row_indices += group_rows(group)
    ids = [recorded.ids[row_index] for row_index in row_indices]
    if with_columns and window.reference is not None and window.model.application in TABLES:
        ids += recorded.ids[column_rows(recorded)]
    return ReportMaterial(
        raw_inputs=predictions.raw_inputs(list(dict.fromkeys(ids))) if ids else {},
        flagged_counts=_read_flagged_counts(window, predictions),
    )


def strangest_rows(window: JudgedWindow) -> list[int]:
    """The rows furthest from training, the furthest first; empty without a reference."""
    if window.reference is None:
        return []
    # A score that is not finite is recorded as missing, and is the strangest of all.
    scores = np.nan_to_num(window.recorded.scores, nan=np.inf)
    order: list[int] = np.argsort(-scores, kind="stable")[:STRANGEST_INPUTS].tolist()
    return order


def typical_rows(window: JudgedWindow) -> list[int]:
    """The rows most typical of a detected shift, the most typical first; empty where none was detected."""
    if window.test is None or not window.test.detected:
        return []
    witnesses: list[int] = window.test.witnesses[:TYPICAL_INPUTS].tolist()
    return witnesses


def group_rows(group: Group) -> list[int]:
    """The rows that are shown of a group, the most typical first."""
    members: list[int] = group.members[:INPUTS_OF_A_GROUP].tolist()
    return members


def column_rows(recorded: RecordedWindow) -> slice:
    """The rows that the page on columns compares: all of a small window, every n-th of a large one."""
    return slice(None, None, max(1, -(-len(recorded.ids) // COLUMN_ROWS)))


def time_range(recorded: RecordedWindow) -> tuple[datetime, datetime]:
    """From just before the first prediction to the last one: empty hours at the ends would squeeze the rest."""
    return recorded.at[0] - timedelta(milliseconds=1), recorded.at[-1]


def _read_flagged_counts(window: JudgedWindow, predictions: PredictionSource) -> list[FlaggedCount]:
    if window.reference is None or window.reference.flagged_law.rank == 0 or not window.recorded.at:
        return []
    since, until = time_range(window.recorded)
    return predictions.flagged_over_time(window.model.sha256, since, until, TIME_BINS)
