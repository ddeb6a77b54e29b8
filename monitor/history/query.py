"""The history of a model as values: bars over time and slices, each slice tested against all other predictions.

Only rollups are read, never single predictions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.checks.sums_comparison import FEWEST_ROWS, WindowSumsTest, check_sums
from monitor.reference.profile import Reference
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import WindowSums, sums_of
from store.database.time_buckets import DAY_SECONDS, HOUR_SECONDS, bucket_start
from store.errors import NotFound
from store.repositories.models import ModelRecord
from store.rollups.rollups import ALL, Rollup
from store.store import Store

SCORE_SHARES = (0.5, 0.9, 0.99)
CONFIDENCE_SHARES = (0.1, 0.5)
SLICES_SHOWN = 20
# One test takes five milliseconds, and past a week there are too many sums to read for a page.
SLICES_COMPARED = 8
_LONGEST_COMPARED = timedelta(days=7)


@dataclass(frozen=True)
class Span:
    """How far back to look and how wide a bar is; `description` says the width to people."""

    days: int
    seconds: int
    description: str

    def bar_starts(self, until: datetime) -> list[datetime]:
        """The instants at which the bars begin, the last of them containing `until`."""
        width = timedelta(seconds=self.seconds)
        first = bucket_start(until - timedelta(days=self.days), self.seconds) + width
        number = round((bucket_start(until, self.seconds) - first) / width) + 1
        return [first + index * width for index in range(number)]


SPANS = {
    "day": Span(1, HOUR_SECONDS, "by the hour"),
    "week": Span(7, 6 * HOUR_SECONDS, "by six hours"),
    "month": Span(30, DAY_SECONDS, "by the day"),
    "quarter": Span(90, DAY_SECONDS, "by the day"),
}


@dataclass(frozen=True)
class Bar:
    """The predictions of one bar.

    `score` and `confidence` are the quantiles at `SCORE_SHARES` and `CONFIDENCE_SHARES`; None where there are no values.
    """

    start: datetime
    count: int
    flagged: int
    flagged_share: float | None
    mean_confidence: float | None
    score: list[float] | None
    confidence: list[float] | None


@dataclass(frozen=True)
class SliceSummary:
    """The predictions of one slice.

    `p_value` is that of the difference from all other predictions, None where the slice was not tested.
    """

    slice: str
    count: int
    flagged_share: float | None
    mean_confidence: float | None
    p_value: float | None
    detected: bool


@dataclass(frozen=True)
class History:
    """A model's predictions over a span of time, in bars of so many seconds and by slice.

    `expected` is the share that is flagged when nothing has changed, `threshold` the score from which an input is
    flagged; both None without a reference that flags.
    """

    model: str
    span: str
    since: datetime
    until: datetime
    seconds: int
    expected: float | None
    threshold: float | None
    bars: list[Bar]
    slices: list[SliceSummary]
    slices_not_shown: int


def read_history(store: Store, model: ModelRecord, reference: Reference | None, span: str, until: datetime) -> History:
    """The history of a model.

    Args:
        store: the record.
        model: the model.
        reference: its reference, by whose features slices are compared.
        span: a key of `SPANS`.
        until: where the history ends.

    Raises:
        NotFound: there is no such span.
    """
    if span not in SPANS:
        raise NotFound(f"There is no history of a {span!r}: ask for {', '.join(SPANS)}.")
    seconds, starts = SPANS[span].seconds, SPANS[span].bar_starts(until)
    since = starts[0]
    rollups: dict[datetime, Rollup] = {}
    for key, rollup in store.rollups.between(model.sha256, since, until):
        start = bucket_start(key.start, seconds)
        rollups[start] = rollups[start] + rollup if start in rollups else rollup
    slices, slices_not_shown = _read_slices(store, model, reference, since, until)
    flags = reference is not None and reference.flagged_law.rank > 0
    return History(
        model=model.name,
        span=span,
        since=since,
        until=until,
        seconds=seconds,
        expected=reference.flagged_law.expected_share if reference is not None and flags else None,
        threshold=reference.threshold if reference is not None and flags else None,
        bars=[_bar(start, rollups.get(start, Rollup())) for start in starts],
        slices=slices,
        slices_not_shown=slices_not_shown,
    )


def check_last_day(store: Store, model: ModelRecord, reference: Reference, until: datetime) -> WindowSumsTest | None:
    """The last 24 hours tested against the reference by their rollups; None where there are too few predictions, or where
    some classes have too few held-out rows: sums hold their predictions too."""
    if reference.thin_classes:
        return None
    # Starts at a whole hour, as minutes of the first hour may be rolled up into it already.
    since = bucket_start(until - timedelta(days=1), HOUR_SECONDS)
    rollup = store.rollups.sums(model.sha256, since, until, features_of(reference).sha256).get(ALL)
    if rollup is None or rollup.count < FEWEST_ROWS:
        return None
    return check_sums(reference, sums_of(reference, rollup))


def compare_slices(reference: Reference, sums: Mapping[str, WindowSums]) -> dict[str, WindowSumsTest]:
    """Test each slice against all predictions that are not in it, where both sides have enough rows.

    Args:
        reference: whose features were summed.
        sums: of each slice by its name, and of all predictions under `ALL`.
    """
    if ALL not in sums:
        return {}
    tests: dict[str, WindowSumsTest] = {}
    for name, slice_sums in sums.items():
        other_sums = sums[ALL] - slice_sums
        if name != ALL and min(slice_sums.count, other_sums.count) >= FEWEST_ROWS:
            tests[name] = check_sums(reference, slice_sums, against=other_sums)
    return tests


def _bar(start: datetime, rollup: Rollup) -> Bar:
    return Bar(
        start=start,
        count=rollup.count,
        flagged=rollup.flagged,
        flagged_share=rollup.flagged_share,
        mean_confidence=rollup.mean_confidence,
        score=rollup.scores.at(SCORE_SHARES),
        confidence=rollup.confidences.at(CONFIDENCE_SHARES),
    )


def _read_slices(
    store: Store, model: ModelRecord, reference: Reference | None, since: datetime, until: datetime
) -> tuple[list[SliceSummary], int]:
    """The largest slices, and how many more there are."""
    by_slice = store.rollups.by_slice(model.sha256, since, until)
    shown = dict(list(by_slice.items())[:SLICES_SHOWN])
    tests: dict[str, WindowSumsTest] = {}
    if reference is not None and until - since <= _LONGEST_COMPARED:
        compared = [ALL, *list(shown)[:SLICES_COMPARED]]
        rollups = store.rollups.sums(model.sha256, since, until, features_of(reference).sha256, compared)
        tests = compare_slices(reference, {name: sums_of(reference, rollup) for name, rollup in rollups.items()})
    summaries = [
        SliceSummary(
            slice=name,
            count=rollup.count,
            flagged_share=rollup.flagged_share,
            mean_confidence=rollup.mean_confidence,
            p_value=tests[name].p_value if name in tests else None,
            detected=name in tests and tests[name].detected,
        )
        for name, rollup in shown.items()
    ]
    return summaries, len(by_slice) - len(shown)
