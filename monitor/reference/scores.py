"""Out-of-domain scores of rows, as a reference gives them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.reference.rows import Floats, Floats32, RowIndices


@dataclass(frozen=True)
class Scores:
    """Out-of-domain scores of n rows; higher = further out.

    Attributes:
        score: the mean of the scorers' u, shape `(n,)`; infinite for a row that is not finite.
        p_value: the share of held-out rows that are at least as strange, shape `(n,)`, in (0, 1]; conformal, so valid for
            any number of calibration rows (Vovk et al. 2005).
        flagged: `p_value ≤ alpha`, or a row that is not finite, shape `(n,)`.
        parts: each scorer's own u = −log p, shape `(n,)`.
        nearest: the training rows most like each row, nearest first, shape `(n, k)`, as indices of the rows that the
            reference was fitted on; −1 for a row that is not finite.
        distances: the distances to these on the unit sphere, shape `(n, k)`.
    """

    score: Floats
    p_value: Floats
    flagged: npt.NDArray[np.bool_]
    parts: dict[str, Floats]
    nearest: RowIndices
    distances: Floats32
