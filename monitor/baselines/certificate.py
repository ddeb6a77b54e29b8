"""The certificate of a configuration: whether it keeps its promise on these very rows, and how soon it notices a change.

The first is an A/A test, the second a power analysis, both by resampling the rows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.alarm.streams import make_alarms_among, stream_values
from monitor.checks.window_comparison import groups_of
from monitor.reference.profile import Reference
from monitor.reference.rows import RowIndices, Rows
from monitor.shift.max_t import max_t_test
from monitor.shift.permutation import permuted_gaps
from monitor.shift.row_features import features_of

Floats = npt.NDArray[np.float64]

STREAMS_REPLAYED = 500
WINDOWS_REPLAYED = 100
WINDOW_ROWS = 200
WINDOW_ALPHA = 0.05
WINDOW_DRAWS = 199
POWER_STREAMS = 40
SHARES = (0.01, 0.05, 0.20)
LONGEST_DELAY = 5_000
# So unlikely under the promise that the promise is broken.
BROKEN = 1e-3
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Certificate:
    """What was measured when a reference or a baseline was made.

    `false_alarms` of `streams` shift-free streams of `length` predictions rang, where the promise allows
    `allowed_false_alarms` on average; `false_detections` of `windows` shift-free windows were called shifted at
    `window_alpha`. `delays` are the median numbers of predictions until a share of unknown inputs is noticed, None where
    it takes more than 5,000. `reason` says why it failed.
    """

    promise: float
    streams: int
    length: int
    false_alarms: int
    allowed_false_alarms: float
    windows: int
    false_detections: int
    window_alpha: float
    delays: dict[str, float | None]
    passed: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """In plain words."""
        if not self.passed:
            return self.reason
        return (
            f"{self.false_alarms} of {self.streams:,} shift-free streams of {self.length:,} predictions rang "
            f"(the promise allows {self.allowed_false_alarms:.0f}), and {self.false_detections} of {self.windows} "
            f"shift-free windows were called shifted at level {self.window_alpha:g}."
        )

    def power(self, predictions_per_day: float | None = None) -> list[str]:
        """How soon unknown inputs are noticed, in plain words, in time where the traffic is known."""
        lines = []
        for share, delay in self.delays.items():
            if delay is None:
                lines.append(f"{float(share):.0%} unknown inputs: not within {LONGEST_DELAY:,} predictions")
                continue
            time = f", {_duration(delay / predictions_per_day)}" if predictions_per_day else ""
            lines.append(f"{float(share):.0%} unknown inputs: noticed within about {delay:,.0f} predictions{time}")
        return lines


@dataclass(frozen=True)
class _AlarmSetup:
    """How the alarms of a learner are set: how many classes it has, and N, the promise of all alarms together."""

    classes: int
    promise: float


def certify(reference: Reference, promise: float, rng: np.random.Generator) -> Certificate:
    """Replay resampled rows of the reference through the very configuration.

    Every stream is drawn anew, and so are the rows it is ranked among, as both would be if nothing had changed.

    Args:
        reference: whose rows are replayed.
        promise: N, of all alarms of a model together.
        rng: all randomness.
    """
    rows = reference.held_out.take(reference.held_out.finite)
    if len(rows) < FEWEST_ROWS:
        reason = f"{len(rows)} usable rows are too few to promise anything: give {FEWEST_ROWS} or more."
        return Certificate(promise, 0, 0, 0, 0.0, 0, 0, WINDOW_ALPHA, {}, False, reason)
    length = int(np.clip(promise / 20, 50, 500))
    setup, streams = _AlarmSetup(len(reference.class_names), promise), stream_values(rows)
    false_alarms = _count_false_alarms(setup, streams, length, rng)
    allowed = STREAMS_REPLAYED * length / promise
    detected, windows = _count_false_detections(reference, rng)
    reasons = []
    if stats.poisson.sf(false_alarms - 1, allowed) < BROKEN:
        reasons.append(
            f"{false_alarms} of {STREAMS_REPLAYED} shift-free streams rang, and the promise allows {allowed:.0f}"
        )
    if stats.binom.sf(detected - 1, max(windows, 1), WINDOW_ALPHA) < BROKEN:
        reasons.append(f"{detected} of {windows} shift-free windows were called shifted, at level {WINDOW_ALPHA:g}")
    flagged = _flagged_rows(reference, rows)
    return Certificate(
        promise=promise,
        streams=STREAMS_REPLAYED,
        length=length,
        false_alarms=false_alarms,
        allowed_false_alarms=allowed,
        windows=windows,
        false_detections=detected,
        window_alpha=WINDOW_ALPHA,
        delays={f"{share:g}": _median_delay(setup, streams, flagged, share, rng) for share in SHARES},
        passed=not reasons,
        reason="" if not reasons else f"The promise does not hold on these rows: {' and '.join(reasons)}.",
    )


def find_first_change(
    reference: Reference, earlier: Rows, later: Rows, promise: float, rng: np.random.Generator
) -> int | None:
    """Whether rows in order of time change among themselves: the index in `later` of the row at which an alarm ranked
    among `earlier` rings; None if it stays quiet."""
    setup = _AlarmSetup(len(reference.class_names), promise)
    return _first_ring(setup, stream_values(earlier), stream_values(later), rng)


def _take(streams: Mapping[str, Floats], row_indices: RowIndices) -> dict[str, Floats]:
    return {name: values[row_indices] for name, values in streams.items()}


def _first_ring(
    setup: _AlarmSetup, baseline: Mapping[str, Floats], streams: Mapping[str, Floats], rng: np.random.Generator
) -> int | None:
    """The index of the prediction at which the first alarm, ranked among `baseline`, rings; None if all stay quiet."""
    first: int | None = None
    alarms = make_alarms_among(baseline, setup.classes, setup.promise, int(rng.integers(2**31)))
    for name, alarm in alarms.items():
        # Once one has rung only an earlier ring of another counts.
        if alarm.update(streams[name][:first]):
            first = alarm.since
    return first


def _count_false_alarms(
    setup: _AlarmSetup, streams: Mapping[str, Floats], length: int, rng: np.random.Generator
) -> int:
    """How many of `STREAMS_REPLAYED` shift-free streams of this length ring."""
    count = len(next(iter(streams.values())))
    false_alarms = 0
    for _ in range(STREAMS_REPLAYED):
        baseline, stream = (_take(streams, rng.integers(count, size=size)) for size in (count, length))
        false_alarms += _first_ring(setup, baseline, stream, rng) is not None
    return false_alarms


def _count_false_detections(reference: Reference, rng: np.random.Generator) -> tuple[int, int]:
    """How many shift-free windows are called shifted at `WINDOW_ALPHA`, and of how many; none where rows are too few."""
    features = features_of(reference)
    count = len(features.held_out)
    size = min(WINDOW_ROWS, count // 4)
    if size < 10:
        return 0, 0
    detected = 0
    for _ in range(WINDOWS_REPLAYED):
        order = rng.permutation(count)
        reference_rows = features.held_out[order[size : size + 5 * size]]
        gaps = permuted_gaps(reference_rows, features.held_out[order[:size]], WINDOW_DRAWS, rng)
        detected += max_t_test(gaps, features.blocks, groups_of(features)).p_value <= WINDOW_ALPHA
    return detected, WINDOWS_REPLAYED


def _flagged_rows(reference: Reference, rows: Rows) -> RowIndices:
    """The indices of rows that are flagged; that of the strangest row where none is."""
    flagged = np.flatnonzero(rows.scores >= reference.threshold)
    return flagged if flagged.size else np.array([int(rows.scores.argmax())])


def _median_delay(
    setup: _AlarmSetup, streams: Mapping[str, Floats], flagged: RowIndices, share: float, rng: np.random.Generator
) -> float | None:
    """The median number of predictions until this share of flagged inputs is noticed; None beyond `LONGEST_DELAY`."""
    count = len(next(iter(streams.values())))
    delays = []
    for _ in range(POWER_STREAMS):
        row_indices: RowIndices = rng.integers(count, size=LONGEST_DELAY)
        unknown = rng.uniform(size=LONGEST_DELAY) < share
        row_indices[unknown] = rng.choice(flagged, size=int(unknown.sum()))
        ring = _first_ring(setup, streams, _take(streams, row_indices), rng)
        delays.append(np.inf if ring is None else ring + 1)
    median = float(np.median(delays))
    return median if np.isfinite(median) else None


def _duration(days: float) -> str:
    for count, unit in ((days, "days"), (days * 24, "hours")):
        if count >= 2:
            return f"{count:.0f} {unit}"
    return f"{max(days * 24 * 60, 1):.0f} minutes"
