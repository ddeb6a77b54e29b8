"""The streams of one model that are watched for change, one alarm each, under one promise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.alarm.sequential import EDGES, SequentialAlarm
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """A number of each prediction, in order of arrival.

    `values` takes scores, confidences and class indices, each `(n,)`, and returns the numbers, `(n,)`, or None where the
    learner has no such number. `edges` returns the bounds of the bins they are ranked by, for so many classes.
    """

    name: str
    title: str
    values: Callable[[Floats, Floats | None, npt.NDArray[np.int64] | None], Floats | None]
    edges: Callable[[int], Floats]

    def of_rows(self, rows: Rows) -> Floats | None:
        """The stream's numbers of rows, `(n,)`."""
        return self.values(rows.scores, rows.confidences, rows.class_indices)


def _log_doubt(scores: Floats, confidences: Floats | None, classes: npt.NDArray[np.int64] | None) -> Floats | None:
    # −log of the doubt, turned round: differences between 99 % and 99.9 % count as those between 50 % and 95 %.
    return None if confidences is None else np.log(np.clip(1 - confidences, 1e-9, 1.0))


# In the order in which they are named to people.
STREAMS: tuple[Stream, ...] = (
    Stream("ood_score", "out-of-domain scores", lambda scores, _confidences, _classes: scores, lambda _: EDGES),
    Stream("confidence", "confidence", _log_doubt, lambda _: np.linspace(-21.0, 0.0, 257)),
    Stream(
        "class_mix",
        "mix of predicted classes",
        lambda _scores, _confidences, classes: None if classes is None else classes.astype(np.float64),
        lambda classes: np.arange(0.5, classes - 1),
    ),
)


def make_alarms(reference: Reference, promise: float, seed: int) -> dict[str, SequentialAlarm]:
    """An alarm for each stream this learner has.

    With K streams each rings at 2 K N: by Doob's inequality the probability that any rings before t is at most t / 2N,
    whatever their dependence, so that the mean run length to a false alarm is at least N.

    Args:
        reference: whose rows the streams are ranked among.
        promise: N, the number of predictions to a false alarm of them all.
        seed: breaks ties.
    """
    baseline = {
        name: without_thin_classes(reference, values, reference.held_out.class_indices)
        for name, values in stream_values(reference.held_out).items()
    }
    return make_alarms_among(baseline, len(reference.class_names), promise, seed)


def without_thin_classes(reference: Reference, values: Floats, class_indices: npt.NDArray[np.int64] | None) -> Floats:
    """A stream's numbers `(n,)` with NaN where a row is predicted as a class with too few held-out rows.

    An alarm ranks among held-out rows, and has nothing to rank such a row among.
    """
    if not reference.thin_classes or class_indices is None:
        return values
    thin = np.isin(class_indices, [thin_class.index for thin_class in reference.thin_classes])
    return np.where(thin, np.nan, values)


def stream_values(rows: Rows) -> dict[str, Floats]:
    """The numbers of each stream that these rows have, `(n,)`, by the stream's name."""
    by_name = {stream.name: stream.of_rows(rows) for stream in STREAMS}
    return {name: values for name, values in by_name.items() if values is not None}


def make_alarms_among(
    baseline: Mapping[str, Floats], classes: int, promise: float, seed: int
) -> dict[str, SequentialAlarm]:
    """An alarm for each stream, as `make_alarms` makes them, that ranks among these numbers of a learner of so many classes.

    Args:
        baseline: the numbers to rank among, `(m,)`, by the stream's name.
        classes: how many classes the learner has.
        promise: as `make_alarms`.
        seed: as `make_alarms`.
    """
    threshold = promise if len(baseline) == 1 else 2 * len(baseline) * promise
    by_name = {stream.name: stream for stream in STREAMS}
    return {
        name: SequentialAlarm(
            None,
            arl=threshold,
            rng=np.random.default_rng([seed, index]),
            baseline=values[np.isfinite(values)],
            edges=by_name[name].edges(max(classes, 2)),
        )
        for index, (name, values) in enumerate(baseline.items())
    }
