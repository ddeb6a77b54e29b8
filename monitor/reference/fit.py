"""Fitting a reference: scorers on training rows, everything else on held-out rows, never the same ones.

A network has memorised its training rows: their embeddings are tighter and their confidences higher than those of any
fresh row, and everything would look shifted against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.reference.fit_warnings import weaknesses
from monitor.reference.float_array import AnyFloats, float_array
from monitor.reference.fusion import TailLog
from monitor.reference.profile import Reference
from monitor.reference.rows import ClassIndices, Floats, Rows, through_float16
from monitor.reference.scorers import SCORERS, Features, Scorer, Training
from monitor.reference.thin_classes import find_thin_classes
from monitor.reference.usable_rows import FEW_ROWS, UsableRows, check_same_learner, usable_rows
from store.errors import BadInput

LabelledRows = tuple[npt.ArrayLike, npt.ArrayLike | None, npt.ArrayLike | None]

DEFAULT_ALPHA = 0.01
HELD_OUT_ROWS_KEPT = 10_000
# The tails need few rows; the number left for the p-values decides how steady the flagged rate is.
TAIL_FIT_SHARE = 0.25
TAIL_FIT_ROWS = 250


def fit_reference(
    embeddings: npt.ArrayLike,
    logits: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
    *,
    calibration: LabelledRows,
    head: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    rng: np.random.Generator,
    alpha: float = DEFAULT_ALPHA,
    numbers: npt.ArrayLike | None = None,
) -> Reference:
    """Fit the scorers on training rows and calibrate them on held-out rows.

    The fused score needs held-out rows twice: a quarter of them, at most 250, turn each scorer's value into
    u = −log p, the others turn the mean of u into the p-value, which is therefore valid in finite samples (split
    conformal prediction, Vovk et al. 2005). Rows that are not finite are left out with a warning. Training rows are read
    in pieces and may be a memory map.

    Args:
        embeddings: training embeddings, shape `(n, d)`.
        logits: training logits, shape `(n, c)`, of a learner that predicts one class; None for other learners.
        labels: training labels as class indices, shape `(n,)`; None if unknown.
        calibration: embeddings, logits and labels of held-out rows, shapes `(m, d)`, `(m, c)`, `(m,)`.
        head: weights `(c, d)` and bias `(c,)` of the last linear layer, if the logits come from it.
        rng: all randomness.
        alpha: share of in-domain inputs that may be flagged.
        numbers: what a learner that predicts numbers predicted of the held-out rows, shape `(m, k)`: windows of
            predictions are compared with them, and no score uses them.

    Raises:
        BadInput: shapes that don't fit together, labels outside the classes, or fewer than four usable rows.
    """
    training_rows = usable_rows("training", embeddings, logits, labels)
    held_out = usable_rows("calibration", *calibration)
    check_same_learner(training_rows, held_out)
    features = Features(training_rows.embeddings, training_rows.logits)
    training = Training(features, training_rows.classes, _checked_head(head, training_rows), training_rows.row_indices)
    m = held_out.embeddings.shape[0]
    warnings = (*training_rows.warnings, *held_out.warnings, *weaknesses(training))
    scorers = {method.name: method.fit(training, rng) for method in SCORERS if method.applies(training)}
    calibrated = _calibrate(scorers, held_out, _checked_numbers(numbers, calibration[0]), rng)
    reference = Reference(
        scorers=scorers,
        tails=calibrated.tails,
        calibration_scores=calibrated.scores,
        held_out=calibrated.rows,
        alpha=alpha,
        training_rows=training_rows.embeddings.shape[0],
        held_out_rows=m,
        warnings=warnings,
        thin_classes=find_thin_classes(*_classes_alike(training_rows, held_out)),
    )
    reference = _without_thin_classes(reference)
    weakness = held_out_weakness(reference)
    return reference if weakness is None else replace(reference, warnings=(*reference.warnings, weakness))


def held_out_weakness(reference: Reference) -> str | None:
    """What too few held-out rows mean for a reference, in one sentence; None where there are enough."""
    rows, alpha = reference.held_out_rows, reference.alpha
    if not np.isfinite(reference.threshold):
        needed = int(np.ceil((np.ceil(1 / alpha) - 1) / (1 - TAIL_FIT_SHARE)))
        return f"With {rows:,} held-out rows no input can be flagged at alpha {alpha:g}: give {needed:,} or more."
    return (
        f"Only {rows:,} held-out rows: rates will be rough. {FEW_ROWS} or more are better." if rows < FEW_ROWS else None
    )


@dataclass(frozen=True)
class _Calibration:
    """What held-out rows give: the scorers' tails, fused scores ascending `(m,)`, and the rows kept for comparison."""

    tails: dict[str, TailLog]
    scores: Floats
    rows: Rows


def _calibrate(
    scorers: Mapping[str, Scorer], held_out: UsableRows, numbers: AnyFloats | None, rng: np.random.Generator
) -> _Calibration:
    features = Features(held_out.embeddings, held_out.logits)
    values = {name: scorer.score(features) for name, scorer in scorers.items()}
    m = held_out.embeddings.shape[0]
    order = rng.permutation(m)
    tail_rows = min(int(m * TAIL_FIT_SHARE), TAIL_FIT_ROWS)
    for_tails, for_p_values = order[:tail_rows], order[tail_rows:]
    tails = {name: TailLog.fit(value[for_tails]) for name, value in values.items()}
    parts = np.stack([tails[name](values[name]) for name in scorers], axis=1)
    # Rows that shaped the tails are no fresh rows: neither p-values nor windows are compared with them.
    compared = np.sort(for_p_values[:HELD_OUT_ROWS_KEPT])
    rows = Rows.of(
        through_float16(held_out.embeddings[compared]),
        None if held_out.logits is None else held_out.logits[compared],
        None if held_out.labels is None else held_out.labels[compared],
        {name: parts[compared, column] for column, name in enumerate(scorers)},
        None if numbers is None else numbers[held_out.row_indices[compared]],
    )
    return _Calibration(tails, np.sort(parts[for_p_values].mean(axis=1)), rows)


def _checked_head(
    head: tuple[npt.ArrayLike, npt.ArrayLike] | None, training: UsableRows
) -> tuple[Floats, Floats] | None:
    if head is None:
        return None
    weights, bias = np.asarray(head[0], np.float64), np.asarray(head[1], np.float64)
    if weights.ndim != 2 or weights.shape[1] != training.embeddings.shape[1] or bias.shape != weights.shape[:1]:
        raise BadInput(
            f"The head must be weights (c, {training.embeddings.shape[1]}) and bias (c,), "
            f"and {weights.shape} and {bias.shape} came.",
            field="head",
        )
    return weights, bias


def _checked_numbers(numbers: npt.ArrayLike | None, embeddings: npt.ArrayLike) -> AnyFloats | None:
    if numbers is None:
        return None
    array, rows = float_array(numbers, "numbers", "predicted numbers"), len(np.asarray(embeddings))
    if array.ndim != 2 or len(array) != rows or array.shape[1] == 0:
        raise BadInput(f"The predicted numbers must have shape ({rows}, k), and {array.shape} came.", field="numbers")
    return array


def _classes_alike(training: UsableRows, held_out: UsableRows) -> tuple[ClassIndices | None, ClassIndices | None]:
    """The classes of both: labels where both have them, and else the predicted ones. A learner that never predicts a class
    would seem to lack its rows on one side only."""
    if training.labels is not None and held_out.labels is not None:
        return training.labels, held_out.labels
    first, second = (None if rows.logits is None else rows.logits.argmax(axis=1) for rows in (training, held_out))
    return first, second


def _without_thin_classes(reference: Reference) -> Reference:
    """The reference without those of its compared rows that windows are compared without."""
    left_out = reference.left_out(reference.held_out)
    return replace(reference, held_out=reference.held_out.take(~left_out)) if left_out.any() else reference
