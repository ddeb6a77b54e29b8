"""Checks of the rows that a reference is fitted on: shapes that fit, finite values, labels within the classes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monitor.reference.float_array import AnyFloats, float_array
from monitor.reference.rows import LARGEST, ClassIndices, RowIndices
from monitor.reference.scorers import Features
from store.errors import BadInput

MINIMUM_ROWS = 4
FEW_ROWS = 200


@dataclass(frozen=True)
class UsableRows:
    """The finite ones among the rows of one kind, "training" or "calibration".

    Attributes:
        embeddings: shape `(n, d)`.
        logits: shape `(n, c)`, or None.
        labels: class indices, shape `(n,)`, or None.
        row_indices: the indices of these rows among all that were given, shape `(n,)`.
        warnings: a sentence that says how many rows were left out, if any were.
    """

    embeddings: AnyFloats
    logits: AnyFloats | None
    labels: ClassIndices | None
    row_indices: RowIndices
    warnings: tuple[str, ...] = ()

    @property
    def classes(self) -> ClassIndices | None:
        """The labels, or the predicted classes where no labels are known, shape `(n,)`."""
        if self.labels is not None:
            return self.labels
        return None if self.logits is None else self.logits.argmax(axis=1)


def usable_rows(
    kind: str, embeddings: npt.ArrayLike, logits: npt.ArrayLike | None, labels: npt.ArrayLike | None
) -> UsableRows:
    """Check rows and keep the finite ones.

    Args:
        kind: "training" or "calibration", for errors and warnings.
        embeddings: shape `(n, d)`; not copied where all rows are usable.
        logits: shape `(n, c)`, or None.
        labels: class indices, shape `(n,)`, or None.

    Raises:
        BadInput: shapes that don't fit together, labels outside the classes, or fewer than four usable rows.
    """
    rows = float_array(embeddings, "embeddings", f"{kind} embeddings")
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise BadInput(f"The {kind} embeddings must have shape (n, d), and {rows.shape} came.", field="embeddings")
    n = rows.shape[0]
    outputs = None if logits is None else float_array(logits, "logits", f"{kind} logits")
    if outputs is not None and (outputs.ndim != 2 or outputs.shape[0] != n or outputs.shape[1] == 0):
        raise BadInput(f"The {kind} logits must have shape ({n}, c), and {outputs.shape} came.", field="logits")
    classes = _checked_labels(kind, labels, n, None if outputs is None else outputs.shape[1])
    finite = _finite_rows(rows, outputs)
    if finite.sum() < MINIMUM_ROWS:
        raise BadInput(
            f"{int(finite.sum())} usable {kind} rows are too few to learn anything from: give {MINIMUM_ROWS} or more, "
            f"better {FEW_ROWS}.",
            field="embeddings",
        )
    row_indices = np.arange(n)
    if finite.all():
        # Not copied: training rows may be more than memory holds.
        return UsableRows(rows, outputs, classes, row_indices)
    return UsableRows(
        rows[finite],
        None if outputs is None else outputs[finite],
        None if classes is None else classes[finite],
        row_indices[finite],
        (f"{int((~finite).sum()):,} {kind} rows hold values that are not finite, or past 10¹⁵, and were left out.",),
    )


def check_same_learner(training: UsableRows, held_out: UsableRows) -> None:
    """Check that training and held-out rows have as many dimensions and classes.

    Raises:
        BadInput: they have not.
    """
    if training.embeddings.shape[1] != held_out.embeddings.shape[1]:
        raise BadInput(
            f"Training embeddings have {training.embeddings.shape[1]} dimensions and calibration embeddings "
            f"{held_out.embeddings.shape[1]}: they must come from the same layer of the same learner.",
            field="calibration",
        )
    classes = [None if rows.logits is None else rows.logits.shape[1] for rows in (training, held_out)]
    if classes[0] != classes[1]:
        raise BadInput(
            f"Training logits have {classes[0]} classes and calibration logits {classes[1]}: give both, or neither.",
            field="calibration",
        )


def _finite_rows(embeddings: AnyFloats, logits: AnyFloats | None) -> npt.NDArray[np.bool_]:
    finite = np.ones(embeddings.shape[0], np.bool_)
    for rows, chunk in Features(embeddings, None).chunks():
        finite[rows] = (np.abs(chunk) <= LARGEST).all(axis=1)
    if logits is not None:
        finite &= np.isfinite(logits).all(axis=1)
    return finite


def _checked_labels(kind: str, labels: npt.ArrayLike | None, n: int, classes: int | None) -> ClassIndices | None:
    if labels is None:
        return None
    indices = np.asarray(labels)
    if classes is None and np.issubdtype(indices.dtype, np.floating):
        # The targets of a learner that predicts numbers are no classes.
        return None
    if indices.shape != (n,) or not np.issubdtype(indices.dtype, np.integer):
        raise BadInput(
            f"The {kind} labels must be {n} class indices, and {indices.dtype} of shape {indices.shape} came.",
            field="labels",
        )
    if n and (indices.min() < 0 or (classes is not None and indices.max() >= classes)):
        raise BadInput(
            f"The {kind} labels lie between {indices.min()} and {indices.max()}, "
            f"and the classes are 0 to {'…' if classes is None else classes - 1}.",
            field="labels",
        )
    return indices.astype(np.int64)
