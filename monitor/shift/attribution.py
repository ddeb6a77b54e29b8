"""What carries a shift: the rows that are most typical of it, and the classes that moved."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.reference.profile import Reference
from monitor.reference.rows import Floats32, Places, Rows
from monitor.shift.row_features import RowFeatures

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 200
# Past this many classes the confusion matrix is too thin to be turned around.
CLASSES = 50
SHOWN = 12


@dataclass(frozen=True)
class ClassShare:
    """A class's share before and in the window, the latter with a 95 % interval.

    `estimated` says whether the share is of true classes, estimated from labels of the reference's rows, or of
    predicted ones.
    """

    name: str
    before: float
    now: float
    low: float
    high: float
    estimated: bool


def witnesses(features: RowFeatures, now: Floats32, number: int = SHOWN) -> Places:
    """Places of the window's rows that are most typical of the difference, most typical first.

    The witness function (Gretton et al. 2012) is largest where the window has more mass than the reference: each row's
    features along the gap between the two means.
    """
    waves = [block.columns for block in features.blocks if block.name.startswith("mmd")]
    columns = slice(waves[0].start, waves[-1].stop)
    values = now[:, columns] @ now[:, columns].mean(axis=0)
    return np.argsort(-values, kind="stable")[:number]


def class_mix(
    reference: Reference, window: Rows, rng: np.random.Generator, *, true_classes: bool = True
) -> list[ClassShare]:
    """The mix of classes before and now, those that moved most first.

    Under label shift (`true_classes`), and where the reference's rows are labelled, the window's mix of *true* classes:
    the confusion matrix is turned around (black-box shift estimation, Lipton, Wang & Smola 2018), with an interval by
    resampling both. Otherwise the mix of predicted classes, with Wilson's interval (1927).
    """
    before, now = reference.held_out.class_indices, window.class_indices
    if before is None or now is None or not window.finite.any():
        return []
    number = len(reference.class_names)
    counts = np.bincount(now[window.finite], minlength=number)
    labels = reference.held_out.labels
    if true_classes and labels is not None and number <= CLASSES and np.unique(labels).size == number:
        usual = np.bincount(labels, minlength=number) / labels.size
        share, low, high = _turned_around(labels, before, counts, number, rng)
        estimated = True
    else:
        usual = np.bincount(before, minlength=number) / before.size
        share = counts / counts.sum()
        low, high = _wilson(counts)
        estimated = False
    order = np.argsort(-np.abs(share - usual), kind="stable")
    return [
        ClassShare(reference.class_names[i], float(usual[i]), float(share[i]), float(low[i]), float(high[i]), estimated)
        for i in order
    ]


def _turned_around(
    labels: Places, predicted: Places, counts: Places, number: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    confusion = np.zeros((number, number))
    np.add.at(confusion, (predicted, labels), 1)
    share = _solved(confusion[None], counts[None])[0]
    # Every cell gets a little, so that a class never mistaken in few rows may be mistaken in a resample.
    cells = (confusion + 0.5 / number).ravel()
    resampled = rng.multinomial(int(confusion.sum()), cells / cells.sum(), size=RESAMPLES)
    windows = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=RESAMPLES)
    draws = _solved(resampled.reshape(RESAMPLES, number, number).astype(np.float64), windows)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return share, np.minimum(low, share), np.maximum(high, share)


def _solved(confusion: Floats, counts: npt.NDArray[np.integer]) -> Floats:
    """Shares of true classes from counts of predicted ones, `(r, c)`; ridged, clipped and made to add up to one."""
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-12)
    observed = counts / counts.sum(axis=1, keepdims=True)
    number = rates.shape[-1]
    gram = rates.transpose(0, 2, 1) @ rates + 1e-6 * np.eye(number)
    solved = np.linalg.solve(gram, (rates.transpose(0, 2, 1) @ observed[:, :, None]))[:, :, 0]
    clipped = np.maximum(solved, 0.0)
    shares: Floats = clipped / np.maximum(clipped.sum(axis=1, keepdims=True), 1e-12)
    return shares


def _wilson(counts: Places) -> tuple[Floats, Floats]:
    n = counts.sum()
    z = stats.norm.ppf((1 + LEVEL) / 2)
    share = counts / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half
