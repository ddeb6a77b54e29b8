"""Which rows are most typical of a shift, and which classes became more or less frequent."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.reference.profile import Reference
from monitor.reference.rows import Floats, Floats32, RowIndices, Rows
from monitor.shift.row_features import RowFeatures

LEVEL = 0.95
RESAMPLES = 200
# With more classes the confusion matrix has too few rows in each cell to be inverted.
CLASSES = 50
SHOWN = 12


@dataclass(frozen=True)
class ClassShare:
    """A class's share among the reference's rows and in the window.

    Attributes:
        name: of the class.
        before: its share among the reference's rows, 0 to 1.
        now: its share in the window, 0 to 1.
        low: lower end of the 95 % interval of `now`.
        high: upper end of it.
        estimated: whether shares are of true classes, estimated from labels of the reference's rows, or of predicted ones.
    """

    name: str
    before: float
    now: float
    low: float
    high: float
    estimated: bool


def witnesses(features: RowFeatures, window_features: Floats32, number: int = SHOWN) -> RowIndices:
    """Indices of the window's rows that are most typical of the difference, most typical first, shape `(number,)`.

    The witness function (Gretton et al. 2012) is largest where the window has more mass than the reference: each row's
    features along the gap between the two means.

    Args:
        features: the map from rows to features.
        window_features: of the window's rows, about the mean of the reference's, shape `(n, f)`.
        number: how many rows at most.
    """
    fourier = [block.columns for block in features.blocks if block.name.startswith("mmd")]
    columns = slice(fourier[0].start, fourier[-1].stop)
    values = window_features[:, columns] @ window_features[:, columns].mean(axis=0)
    return np.argsort(-values, kind="stable")[:number]


def class_mix(
    reference: Reference, window: Rows, rng: np.random.Generator, *, true_classes: bool = True
) -> list[ClassShare]:
    """The mix of classes among the reference's rows and in the window, those that changed most first.

    Under label shift (`true_classes`), and where the reference's rows are labelled, the window's mix of *true* classes:
    the confusion matrix is inverted (black-box shift estimation, Lipton, Wang & Smola 2018), with an interval by
    resampling both. Otherwise the mix of predicted classes, with Wilson's interval (1927).

    Args:
        reference: whose rows the window is compared with.
        window: rows of the window; those that are not finite are left out.
        rng: of the resampling.
        true_classes: whether to estimate true classes where that is possible.

    Returns:
        One entry a class; none where the learner predicts no classes or no row is finite.
    """
    reference_classes, window_classes = reference.held_out.class_indices, window.class_indices
    if reference_classes is None or window_classes is None or not window.finite.any():
        return []
    classes = len(reference.class_names)
    counts = np.bincount(window_classes[window.finite], minlength=classes)
    labels = reference.held_out.labels
    if true_classes and labels is not None and classes <= CLASSES and np.unique(labels).size == classes:
        usual = np.bincount(labels, minlength=classes) / labels.size
        confusion = np.zeros((classes, classes))
        np.add.at(confusion, (reference_classes, labels), 1)
        share, low, high = _true_shares(confusion, counts, rng)
        estimated = True
    else:
        usual = np.bincount(reference_classes, minlength=classes) / reference_classes.size
        share = counts / counts.sum()
        low, high = _wilson_interval(counts)
        estimated = False
    order = np.argsort(-np.abs(share - usual), kind="stable")
    return [
        ClassShare(reference.class_names[i], float(usual[i]), float(share[i]), float(low[i]), float(high[i]), estimated)
        for i in order
    ]


def _true_shares(
    confusion: Floats, counts: npt.NDArray[np.integer], rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Shares of true classes in the window and their interval, each `(c,)`, by black-box shift estimation.

    Args:
        confusion: counts of the reference's rows by predicted and true class, shape `(c, c)`.
        counts: of the window's rows by predicted class, shape `(c,)`.
        rng: of the resampling.
    """
    classes = counts.size
    share = _invert_confusion(confusion[None], counts[None])[0]
    # Every cell gets a little, so that a class never mistaken in few rows may be mistaken in a resample.
    cells = (confusion + 0.5 / classes).ravel()
    resampled = rng.multinomial(int(confusion.sum()), cells / cells.sum(), size=RESAMPLES)
    windows = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=RESAMPLES)
    draws = _invert_confusion(resampled.reshape(RESAMPLES, classes, classes).astype(np.float64), windows)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return share, np.minimum(low, share), np.maximum(high, share)


def _invert_confusion(confusion: Floats, counts: npt.NDArray[np.integer]) -> Floats:
    """Shares of true classes `(r, c)` from counts of predicted ones `(r, c)`, for r confusion matrices `(r, c, c)`.

    Least squares with a small ridge; negative shares are set to zero, and all are scaled to add up to one.
    """
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1e-12)
    observed = counts / counts.sum(axis=1, keepdims=True)
    gram = rates.transpose(0, 2, 1) @ rates + 1e-6 * np.eye(rates.shape[-1])
    solution = np.linalg.solve(gram, (rates.transpose(0, 2, 1) @ observed[:, :, None]))[:, :, 0]
    clipped = np.maximum(solution, 0.0)
    shares: Floats = clipped / np.maximum(clipped.sum(axis=1, keepdims=True), 1e-12)
    return shares


def _wilson_interval(counts: npt.NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Wilson's score interval (1927) of each share, at 95 %, for counts `(c,)`."""
    n = counts.sum()
    z = stats.norm.ppf((1 + LEVEL) / 2)
    share = counts / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - half, middle + half
