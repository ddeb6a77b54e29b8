"""Fitting a reference: scorers on training rows, everything else on held-out rows, never the same ones.

A network has memorised its training rows: their embeddings are tighter and their confidences higher than those of any
fresh row, and everything would look shifted against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monitor.reference.fusion import TailLog
from monitor.reference.profile import Reference
from monitor.reference.rows import LARGEST, Rows, through_float16
from monitor.reference.scorers import SCORERS, Features, Scorer, Training
from store.errors import BadInput

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating]
IngestBatch = tuple[npt.ArrayLike, npt.ArrayLike | None, npt.ArrayLike | None]

DEFAULT_ALPHA = 0.01
HELD_OUT_ROWS_KEPT = 10_000
MINIMUM_ROWS = 4
# The tails need few rows; the number left for the p-values decides how steady the flagged rate is.
TAIL_FIT_SHARE = 0.25
TAIL_FIT_ROWS = 250
DUPLICATE_ROWS = 20_000
FEW_ROWS = 200


def fit_reference(
    embeddings: npt.ArrayLike,
    logits: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
    *,
    calibration: IngestBatch,
    head: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    rng: np.random.Generator,
    alpha: float = DEFAULT_ALPHA,
) -> Reference:
    """Fit the scorers on training rows and calibrate them on held-out rows.

    The fused score needs held-out rows twice: a quarter of them, at most 250, turn each scorer's value into
    u = −log p, the others turn the mean of u into the p-value, which is therefore valid in finite samples. Rows that
    are not finite are left out with a warning. Training rows are read in pieces and may be a memory map.

    Args:
        embeddings: training embeddings, shape `(n, d)`.
        logits: training logits, shape `(n, c)`, of a learner that predicts one class; None for other learners.
        labels: training labels as class indices, shape `(n,)`; None if unknown.
        calibration: embeddings, logits and labels of held-out rows, shapes `(m, d)`, `(m, c)`, `(m,)`.
        head: weights `(c, d)` and bias `(c,)` of the last linear layer, if the logits come from it.
        rng: all randomness.
        alpha: share of in-domain inputs that may be flagged.

    Raises:
        BadInput: shapes that don't fit together, labels outside the classes, or fewer than four usable rows.
    """
    warnings: list[str] = []
    training = _checked("training", embeddings, logits, labels, warnings)
    held_out = _checked("calibration", *calibration, warnings)
    _check_together(training, held_out)
    features = Features(training.embeddings, training.logits)
    fitted = Training(features, _classes(training), _checked_head(head, training), training.places)
    warnings.extend(_weaknesses(fitted, held_out))
    scorers = {method.name: method.fit(fitted, rng) for method in SCORERS if method.applies(fitted)}
    fresh = Features(held_out.embeddings, held_out.logits)
    values = {name: scorer.score(fresh) for name, scorer in scorers.items()}
    m = held_out.embeddings.shape[0]
    order = rng.permutation(m)
    tail_rows = min(int(m * TAIL_FIT_SHARE), TAIL_FIT_ROWS)
    for_tails, for_p_values = order[:tail_rows], order[tail_rows:]
    tails = {name: TailLog.fit(value[for_tails]) for name, value in values.items()}
    parts = np.stack([tails[name](values[name]) for name in scorers], axis=1)
    # Rows that shaped the tails are no fresh rows: neither p-values nor windows are compared with them.
    kept = np.sort(for_p_values[:HELD_OUT_ROWS_KEPT])
    reference = Reference(
        scorers=scorers,
        tails=tails,
        calibration_scores=np.sort(parts[for_p_values].mean(axis=1)),
        held_out=_held_out(held_out, parts, kept, scorers),
        alpha=alpha,
        training_rows=training.embeddings.shape[0],
        held_out_rows=m,
        warnings=tuple(warnings),
    )
    if not np.isfinite(reference.threshold):
        needed = int(np.ceil((np.ceil(1 / alpha) - 1) / (1 - TAIL_FIT_SHARE)))
        few = f"With {m:,} held-out rows no input can be flagged at alpha {alpha:g}: give {needed:,} or more."
        return _with_warning(reference, few)
    return reference


@dataclass(frozen=True)
class _Usable:
    """Rows of one kind, checked and finite; `places` are theirs among all that were given."""

    embeddings: AnyFloats
    logits: AnyFloats | None
    labels: npt.NDArray[np.int64] | None
    places: npt.NDArray[np.int64]


def _checked(
    kind: str,
    embeddings: npt.ArrayLike,
    logits: npt.ArrayLike | None,
    labels: npt.ArrayLike | None,
    warnings: list[str],
) -> _Usable:
    rows = _numbers(kind, "embeddings", embeddings)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise BadInput(f"The {kind} embeddings must have shape (n, d), and {rows.shape} came.", field="embeddings")
    n = rows.shape[0]
    outputs = None if logits is None else _numbers(kind, "logits", logits)
    if outputs is not None and (outputs.ndim != 2 or outputs.shape[0] != n or outputs.shape[1] == 0):
        raise BadInput(f"The {kind} logits must have shape ({n}, c), and {outputs.shape} came.", field="logits")
    known = _checked_labels(kind, labels, n, None if outputs is None else outputs.shape[1])
    finite = np.ones(n, np.bool_)
    for place, chunk in Features(rows, None).chunks():
        finite[place] = (np.abs(chunk) <= LARGEST).all(axis=1)
    if outputs is not None:
        finite &= np.isfinite(outputs).all(axis=1)
    if finite.sum() < MINIMUM_ROWS:
        raise BadInput(
            f"{int(finite.sum())} usable {kind} rows are too few to learn anything from: give {MINIMUM_ROWS} or more, "
            f"better {FEW_ROWS}.",
            field="embeddings",
        )
    places = np.arange(n)
    if finite.all():
        # Not copied: training rows may be more than memory holds.
        return _Usable(rows, outputs, known, places)
    warnings.append(
        f"{int((~finite).sum()):,} {kind} rows hold values that are not finite, or past 10¹⁵, and were left out."
    )
    return _Usable(
        rows[finite],
        None if outputs is None else outputs[finite],
        None if known is None else known[finite],
        places[finite],
    )


def _numbers(kind: str, name: str, values: npt.ArrayLike) -> AnyFloats:
    try:
        array = np.asarray(values)
        return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The {kind} {name} must be numbers in rows of one length: {error}.", field=name) from error


def _checked_labels(
    kind: str, labels: npt.ArrayLike | None, n: int, classes: int | None
) -> npt.NDArray[np.int64] | None:
    if labels is None:
        return None
    known = np.asarray(labels)
    if classes is None and np.issubdtype(known.dtype, np.floating):
        # What a learner that predicts numbers was taught: no classes.
        return None
    if known.shape != (n,) or not np.issubdtype(known.dtype, np.integer):
        raise BadInput(
            f"The {kind} labels must be {n} class indices, and {known.dtype} of shape {known.shape} came.",
            field="labels",
        )
    if n and (known.min() < 0 or (classes is not None and known.max() >= classes)):
        raise BadInput(
            f"The {kind} labels lie between {known.min()} and {known.max()}, "
            f"and the classes are 0 to {'…' if classes is None else classes - 1}.",
            field="labels",
        )
    return known.astype(np.int64)


def _check_together(training: _Usable, held_out: _Usable) -> None:
    if training.embeddings.shape[1] != held_out.embeddings.shape[1]:
        raise BadInput(
            f"Training embeddings have {training.embeddings.shape[1]} dimensions and calibration embeddings "
            f"{held_out.embeddings.shape[1]}: they must come from the same layer of the same learner.",
            field="calibration",
        )
    shapes = [None if rows.logits is None else rows.logits.shape[1] for rows in (training, held_out)]
    if shapes[0] != shapes[1]:
        raise BadInput(
            f"Training logits have {shapes[0]} classes and calibration logits {shapes[1]}: give both, or neither.",
            field="calibration",
        )


def _checked_head(head: tuple[npt.ArrayLike, npt.ArrayLike] | None, training: _Usable) -> tuple[Floats, Floats] | None:
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


def _classes(rows: _Usable) -> npt.NDArray[np.int64] | None:
    if rows.labels is not None:
        return rows.labels
    return None if rows.logits is None else rows.logits.argmax(axis=1)


def _weaknesses(training: Training, held_out: _Usable) -> list[str]:
    embeddings = training.features.embeddings
    n, d = embeddings.shape
    found = []
    if n < FEW_ROWS:
        found.append(f"Only {n:,} training rows: scores will be rough. {FEW_ROWS} or more are better.")
    if n <= d:
        found.append(f"Fewer training rows ({n:,}) than dimensions ({d:,}): directions between them are guessed.")
    if held_out.embeddings.shape[0] < FEW_ROWS:
        found.append(f"Only {held_out.embeddings.shape[0]:,} held-out rows: rates will be rough.")
    lowest, highest = np.full(d, np.inf), np.full(d, -np.inf)
    for _, chunk in training.features.chunks():
        lowest, highest = np.minimum(lowest, chunk.min(axis=0)), np.maximum(highest, chunk.max(axis=0))
    constant = int((lowest == highest).sum())
    if constant == d:
        found.append("All training rows have the same embedding: nothing can be told from it.")
    elif constant:
        found.append(f"{constant:,} of {d:,} embedding dimensions are constant in training.")
    some = np.asarray(embeddings[:: max(1, n // DUPLICATE_ROWS)])
    if some.shape[0] - np.unique(some, axis=0).shape[0] > some.shape[0] // 2:
        found.append("More than half of the training rows are duplicates of others.")
    if training.classes is not None and np.unique(training.classes).size == 1:
        found.append("All training rows are of one class.")
    return found


def _held_out(rows: _Usable, parts: Floats, kept: npt.NDArray[np.int64], scorers: Mapping[str, Scorer]) -> Rows:
    return Rows.of(
        through_float16(rows.embeddings[kept]),
        None if rows.logits is None else rows.logits[kept],
        None if rows.labels is None else rows.labels[kept],
        {name: parts[kept, place] for place, name in enumerate(scorers)},
    )


def _with_warning(reference: Reference, warning: str) -> Reference:
    return replace(reference, warnings=(*reference.warnings, warning))
