"""Does this configuration keep its promise on these very rows, and how soon would it notice? (A/A test and power card)"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.alarm.streams import alarms_among, numbers
from monitor.checks.window_test import groups_of
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


def certify(reference: Reference, promise: float, rng: np.random.Generator) -> Certificate:
    """Replay resampled rows of the reference through the very configuration.

    Every stream is drawn anew, and so are the rows it is ranked among, as both would be if nothing had changed.

    Args:
        reference: whose rows are replayed.
        promise: N, of all alarms of a model together.
        rng: all randomness.
    """
    rows = reference.held_out.take(reference.held_out.finite)
    m = len(rows)
    if m < FEWEST_ROWS:
        reason = f"{m} usable rows are too few to promise anything: give {FEWEST_ROWS} or more."
        return Certificate(promise, 0, 0, 0, 0.0, 0, 0, WINDOW_ALPHA, {}, False, reason)
    length = int(np.clip(promise / 20, 50, 500))
    watched, classes = numbers(rows), len(reference.class_names)
    rang = 0
    for _ in range(STREAMS_REPLAYED):
        world, stream = (_at(watched, rng.integers(m, size=size)) for size in (m, length))
        rang += _rings_within(world, classes, promise, stream, rng) is not None
    allowed = STREAMS_REPLAYED * length / promise
    detected, windows = _window_detections(reference, rng)
    reasons = []
    if stats.poisson.sf(rang - 1, allowed) < BROKEN:
        reasons.append(f"{rang} of {STREAMS_REPLAYED} shift-free streams rang, and the promise allows {allowed:.0f}")
    if stats.binom.sf(detected - 1, max(windows, 1), WINDOW_ALPHA) < BROKEN:
        reasons.append(f"{detected} of {windows} shift-free windows were called shifted, at level {WINDOW_ALPHA:g}")
    return Certificate(
        promise=promise,
        streams=STREAMS_REPLAYED,
        length=length,
        false_alarms=rang,
        allowed_false_alarms=allowed,
        windows=windows,
        false_detections=detected,
        window_alpha=WINDOW_ALPHA,
        delays={f"{share:g}": _delay(reference, rows, watched, promise, share, rng) for share in SHARES},
        passed=not reasons,
        reason="" if not reasons else f"The promise does not hold on these rows: {' and '.join(reasons)}.",
    )


def first_change(
    reference: Reference, earlier: Rows, later: Rows, promise: float, rng: np.random.Generator
) -> int | None:
    """Whether rows in order of time change among themselves: the place in `later` where an alarm ranked among
    `earlier` rings; None if it stays quiet."""
    return _rings_within(numbers(earlier), len(reference.class_names), promise, numbers(later), rng)


def _at(watched: Mapping[str, Floats], places: RowIndices) -> dict[str, Floats]:
    return {name: values[places] for name, values in watched.items()}


def _rings_within(
    baseline: Mapping[str, Floats], classes: int, promise: float, stream: Mapping[str, Floats], rng: np.random.Generator
) -> int | None:
    first: list[int] = []
    for name, alarm in alarms_among(baseline, classes, promise, int(rng.integers(2**31))).items():
        if alarm.update(stream[name]) and alarm.since is not None:
            first.append(alarm.since)
    return min(first) if first else None


def _window_detections(reference: Reference, rng: np.random.Generator) -> tuple[int, int]:
    features = features_of(reference)
    m = len(features.held_out)
    size = min(WINDOW_ROWS, m // 4)
    if size < 10:
        return 0, 0
    detected = 0
    for _ in range(WINDOWS_REPLAYED):
        order = rng.permutation(m)
        before = features.held_out[order[size : size + 5 * size]]
        gaps = permuted_gaps(before, features.held_out[order[:size]], WINDOW_DRAWS, rng)
        detected += max_t_test(gaps, features.blocks, groups_of(features)).p_value <= WINDOW_ALPHA
    return detected, WINDOWS_REPLAYED


def _delay(
    reference: Reference,
    rows: Rows,
    watched: Mapping[str, Floats],
    promise: float,
    share: float,
    rng: np.random.Generator,
) -> float | None:
    """The median number of predictions until this share of flagged inputs is noticed."""
    flagged = np.flatnonzero(rows.scores >= reference.threshold)
    if flagged.size == 0:
        flagged = np.array([int(rows.scores.argmax())])
    delays = []
    for _ in range(POWER_STREAMS):
        places: RowIndices = rng.integers(len(rows), size=LONGEST_DELAY)
        unknown = rng.uniform(size=LONGEST_DELAY) < share
        places[unknown] = rng.choice(flagged, size=int(unknown.sum()))
        rang = _rings_within(watched, len(reference.class_names), promise, _at(watched, places), rng)
        delays.append(np.inf if rang is None else rang + 1)
    middle = float(np.median(delays))
    return middle if np.isfinite(middle) else None


def _duration(days: float) -> str:
    for count, unit in ((days, "days"), (days * 24, "hours")):
        if count >= 2:
            return f"{count:.0f} {unit}"
    return f"{max(days * 24 * 60, 1):.0f} minutes"
