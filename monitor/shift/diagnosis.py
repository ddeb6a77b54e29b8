"""The cause of a shift: why a window differs from the reference's rows.

Asked in this order: is it *a new kind of input* (more flagged inputs, and the others look as before), *label shift* (another
mix of classes, and within each predicted class rows look as before), *covariate shift* (rows within a class look
different), *confidence only* (embeddings as before: preprocessing behind them, or the head), or *mixed*.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from monitor.reference.conformal import flagged_p_value
from monitor.reference.profile import Reference
from monitor.reference.rows import ClassIndices, Floats32, RowIndices
from monitor.reference.window import Window
from monitor.shift.max_t import max_t_test
from monitor.shift.permutation import permuted_gaps
from monitor.shift.row_features import NUMBER_BLOCKS, FeatureBlock, RowFeatures

DRAWS = 199
# How far the mean of a class has to move, in its own standard deviations, to be more than what is left of few
# unknown inputs that were not flagged.
SMALL_MOVE = 0.25
# When so many inputs are unlike anything in training, that is what a person has to know first.
MOSTLY_NEW = 0.30
SMALL_MIX_CHANGE = 0.05
ROWS_PER_SIDE = 4_000


class Cause(StrEnum):
    """Causes of a shift."""

    NOTHING = "nothing"
    NEW_INPUTS = "new kind of input"
    LABEL_SHIFT = "label shift"
    COVARIATE_SHIFT = "covariate shift"
    CONFIDENCE_ONLY = "confidence only"
    MIXED = "mixed"


SENTENCES = {
    Cause.NOTHING: "Nothing has changed.",
    Cause.NEW_INPUTS: "Inputs of a new kind arrive, unlike training.",
    Cause.LABEL_SHIFT: "The classes come in another mix; within each class inputs look as before.",
    Cause.COVARIATE_SHIFT: "Inputs look different within their classes: another source, device or preprocessing.",
    Cause.CONFIDENCE_ONLY: "Embeddings look as before and only the probabilities moved: look at the head and its scaling.",
    Cause.MIXED: "Several things changed at once.",
}


# Of a learner that predicts no classes.
_SENTENCES_WITHOUT_CLASSES = {
    Cause.COVARIATE_SHIFT: "Inputs look different than before: they come from elsewhere, or are made in another way.",
    Cause.CONFIDENCE_ONLY: (
        "Embeddings look as before and only the predicted numbers moved: look at the head and its scaling."
    ),
}


def sentence_of(cause: Cause, *, has_classes: bool) -> str:
    """A cause in plain words."""
    return SENTENCES[cause] if has_classes else _SENTENCES_WITHOUT_CLASSES.get(cause, SENTENCES[cause])


@dataclass(frozen=True)
class CauseEvidence:
    """The measurements from which the cause of a shift is decided.

    All but the first two are of the rows that are not flagged.

    Attributes:
        excess: the share of flagged inputs above the calibrated rate.
        excess_p: its p-value.
        move: how far the mean of the rows moved within their predicted classes, in standard deviations.
        move_p: its p-value.
        mix_change: the share of the rows that moved to other predicted classes.
        mix_p: its p-value.
        confidence_p: the p-value of a change of probabilities within predicted classes, or of predicted numbers.
    """

    excess: float
    excess_p: float
    move: float
    move_p: float
    mix_change: float
    mix_p: float
    confidence_p: float


def cause_of(evidence: CauseEvidence, alpha: float) -> Cause:
    """Decide the cause from the evidence, at the level `alpha`, by this table:

    | flagged excess | move within classes | mix of the rest | cause              |
    |----------------|---------------------|-----------------|--------------------|
    | a third        | any                 | any             | new kind of input  |
    | yes            | small               | as before       | new kind of input  |
    | yes            | small               | moved           | mixed              |
    | any            | large               | any             | covariate shift    |
    | no             | small               | moved           | label shift        |
    | no             | none                | as before       | confidence only    |

    A large move within classes by itself makes inputs strange and moves predictions, and explains both.
    """
    new_inputs = evidence.excess_p <= alpha and evidence.excess > 0
    if new_inputs and evidence.excess >= MOSTLY_NEW:
        return Cause.NEW_INPUTS
    moved = evidence.move_p <= alpha and evidence.move >= SMALL_MOVE
    mix_changed = evidence.mix_p <= alpha and evidence.mix_change >= SMALL_MIX_CHANGE
    if moved:
        return Cause.COVARIATE_SHIFT
    if new_inputs:
        return Cause.MIXED if mix_changed and evidence.mix_change > 2 * evidence.excess else Cause.NEW_INPUTS
    if mix_changed:
        return Cause.LABEL_SHIFT
    if evidence.move_p <= alpha:
        return Cause.COVARIATE_SHIFT
    if evidence.mix_p <= alpha:
        return Cause.LABEL_SHIFT
    return Cause.CONFIDENCE_ONLY if evidence.confidence_p <= alpha else Cause.MIXED


def measure_evidence(
    reference: Reference,
    window: Window,
    features: RowFeatures,
    window_features: Floats32,
    rng: np.random.Generator,
) -> CauseEvidence:
    """Measure what the cause is decided from, on the rows of both sides that are not flagged.

    Args:
        reference: whose rows the window is compared with.
        window: n rows of production.
        features: the map from rows to features.
        window_features: of the window's rows, shape `(n, f)`.
        rng: of the permutations.
    """
    held_out, rows = reference.held_out, window.rows
    law = reference.flagged_law
    excess = window.flagged_share - law.expected_share if law.rank else 0.0
    excess_p = flagged_p_value(law, window.flagged_total, window.total)
    masks = (held_out.scores < reference.threshold, (rows.scores < reference.threshold) & rows.finite)
    reference_indices, window_indices = (_sample(np.flatnonzero(mask), rng) for mask in masks)
    if min(len(reference_indices), len(window_indices)) < 2:
        # Every input is strange: no row is left that could look as before.
        return CauseEvidence(excess, excess_p, np.inf, 0.0, 0.0, 1.0, 1.0)
    usual, new = features.held_out[reference_indices], window_features[window_indices]
    strata = None
    if held_out.class_indices is not None and rows.class_indices is not None:
        strata = (held_out.class_indices[reference_indices], rows.class_indices[window_indices])
    shared_classes = strata is not None and np.intersect1d(*strata).size > 0
    within_classes = permuted_gaps(usual, new, DRAWS, rng, strata if shared_classes else None)
    embedding_blocks = _names(features.blocks, "mmd", "whitened mean")
    move_p = max_t_test(within_classes, features.blocks, {"move": embedding_blocks}).p_value
    move = _move(within_classes, features.blocks)
    if strata is None:
        number_blocks = _names(features.blocks, *NUMBER_BLOCKS)
        numbers_p = 1.0
        if number_blocks:
            numbers_p = max_t_test(within_classes, features.blocks, {"numbers": number_blocks}).p_value
        return CauseEvidence(excess, excess_p, move, move_p, 0.0, 1.0, numbers_p)
    confidence_blocks = _names(features.blocks, "ks softmax", "ks confidence")
    confidence_p = max_t_test(within_classes, features.blocks, {"confidence": confidence_blocks}).p_value
    across_classes = permuted_gaps(usual, new, DRAWS, rng)
    mix_p = max_t_test(across_classes, features.blocks, {"mix": _names(features.blocks, "classes")}).p_value
    return CauseEvidence(excess, excess_p, move, move_p, _mix_change(strata), mix_p, confidence_p)


def _move(gaps: Floats32, blocks: tuple[FeatureBlock, ...]) -> float:
    """The length of the gap of whitened means, less what chance alone would make of it."""
    whitened = next(block.columns for block in blocks if block.name == "whitened mean")
    squares = (gaps[:, whitened] ** 2).sum(axis=1)
    return float(np.sqrt(max(float(squares[0] - squares[1:].mean()), 0.0)))


def _mix_change(strata: tuple[ClassIndices, ClassIndices]) -> float:
    """Half the summed change of class shares, less what chance alone would make of it."""
    classes = int(max(indices.max() for indices in strata)) + 1
    shares = [np.bincount(indices, minlength=classes) / indices.size for indices in strata]
    pooled = (shares[0] + shares[1]) / 2
    chance = np.sqrt(2 / np.pi * pooled * (1 - pooled) * (1 / strata[0].size + 1 / strata[1].size)).sum() / 2
    return max(float(np.abs(shares[1] - shares[0]).sum() / 2 - chance), 0.0)


def _names(blocks: tuple[FeatureBlock, ...], *prefixes: str) -> tuple[str, ...]:
    return tuple(block.name for block in blocks if block.name.startswith(prefixes))


def _sample(row_indices: RowIndices, rng: np.random.Generator) -> RowIndices:
    if row_indices.size <= ROWS_PER_SIDE:
        return row_indices
    return np.sort(rng.choice(row_indices, ROWS_PER_SIDE, replace=False))
