"""Classes with too few held-out rows to compare with.

Held-out rows say how production should look. Of a class that they lack they say nothing, so that healthy traffic of this
class would look like a shift for ever. Its share of the training rows is no substitute: learners mistake classes for each
other, embeddings of training rows are tighter than fresh ones, and alarms rank among rows, not shares. So rows of such a
class are scored, and left out of both sides of a comparison, by a rule that asks a row alone and nothing of its side: what
is left is as exchangeable as before. Those that are flagged stay, so that a new kind of input that is taken for this class
is not overlooked.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from monitor.reference.profile_content import ThinClass
from monitor.reference.rows import ClassIndices

# So many held-out rows of a class are enough, whatever its share of training.
ENOUGH_ROWS = 10
# The largest probability of so few held-out rows, were the class as frequent there as in training.
TOO_FEW = 0.05
_NAMED = 5


def find_thin_classes(training: ClassIndices | None, held_out: ClassIndices | None) -> tuple[ThinClass, ...]:
    """The classes that have fewer held-out rows than their share of training explains.

    Args:
        training: classes of the training rows, shape `(n,)`, or None.
        held_out: classes of the held-out rows, shape `(m,)`, or None.
    """
    if training is None or held_out is None:
        return ()
    classes = int(max(training.max(), held_out.max())) + 1
    shares = np.bincount(training, minlength=classes) / training.size
    counts = np.bincount(held_out, minlength=classes)
    probabilities = stats.binom.cdf(counts, held_out.size, shares)
    thin = np.flatnonzero((counts < ENOUGH_ROWS) & (probabilities < TOO_FEW))
    return tuple(ThinClass(int(index), int(counts[index]), float(shares[index])) for index in thin)


def belongs_to_thin_class(
    thin: Sequence[ThinClass], predicted: ClassIndices, nearest: ClassIndices
) -> npt.NDArray[np.bool_]:
    """Which rows are of these classes as far as a row tells by itself, `(n,)`: predicted so, or nearest to such a row.

    Args:
        thin: the classes.
        predicted: the predicted class of each row, shape `(n,)`.
        nearest: the class of the training row nearest to each, shape `(n,)`.
    """
    indices = [thin_class.index for thin_class in thin]
    mask: npt.NDArray[np.bool_] = np.isin(predicted, indices) | np.isin(nearest, indices)
    return mask


def describe_thin_classes(thin: Sequence[ThinClass], names: Sequence[str]) -> str:
    """The classes with their held-out rows and their share of training, in words."""
    shown = [
        f"{names[thin_class.index]!r} ({thin_class.held_out_rows:,} held-out rows, "
        f"{thin_class.training_share:.1%} of the training rows)"
        for thin_class in thin[:_NAMED]
    ]
    rest = [f"{len(thin) - _NAMED} more"] if len(thin) > _NAMED else []
    return ", ".join([*shown, *rest])


def thin_class_warning(thin: Sequence[ThinClass], names: Sequence[str]) -> str:
    """What few held-out rows of some classes mean, and what to do."""
    return (
        f"Too few held-out rows of {describe_thin_classes(thin, names)}. Inputs of "
        f"{'this class' if len(thin) == 1 else 'these classes'} are scored and flagged as all others, but left out where "
        "windows are compared: their share, look and confidence raise no alert. Give held-out rows of every class."
    )
