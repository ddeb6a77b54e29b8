"""Why a window differs: the question a person asks next.

In this order: is it *a new kind of input* (more flagged inputs, and the others look as before), *label shift* (another
mix of classes, and within each predicted class rows look as before), *covariate shift* (rows within a class look
different), *confidence only* (embeddings as before: preprocessing behind them, or the head), or *mixed*.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from monitor.reference.conformal import flagged_p_value
from monitor.reference.profile import Reference
from monitor.reference.rows import Floats32, Places
from monitor.reference.window import Window
from monitor.shift.max_t import max_t_test
from monitor.shift.permutation import permuted_gaps
from monitor.shift.row_features import Block, RowFeatures

DRAWS = 199
# How far the mean of a class has to move, in its own standard deviations, to be more than what is left of few
# unknown inputs that were not flagged.
SMALL_MOVE = 0.25
# When so many inputs are unlike anything in training, that is what a person has to know first.
MOSTLY_NEW = 0.30
SMALL_MIX_CHANGE = 0.05
ROWS_PER_SIDE = 4_000


class Cause(StrEnum):
    """What a shift is."""

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


@dataclass(frozen=True)
class Signs:
    """What the cause is read from.

    `excess` is the share of flagged inputs above the calibrated rate and `excess_p` its p-value. `move` is how far the
    mean of the rows that are not flagged moved within their classes, in standard deviations, and `move_p` its p-value;
    `mix_change` the share of these that moved to other classes, `mix_p` its p-value; `confidence_p` that of their
    probabilities within classes.
    """

    excess: float
    excess_p: float
    move: float
    move_p: float
    mix_change: float
    mix_p: float
    confidence_p: float


def cause_of(signs: Signs, alpha: float) -> Cause:
    """Read the cause from the signs, a table:

    | flagged excess | move within classes | mix of the rest | cause              |
    |----------------|---------------------|-----------------|--------------------|
    | a third        | any                 | any             | new kind of input  |
    | yes            | small               | as before       | new kind of input  |
    | yes            | small               | moved           | mixed              |
    | any            | large               | any             | covariate shift    |
    | no             | small               | moved           | label shift        |
    | no             | none                | as before       | confidence only    |

    A large move within classes makes strange inputs and moves predictions by itself, and explains both.
    """
    new = signs.excess_p <= alpha and signs.excess > 0
    if new and signs.excess >= MOSTLY_NEW:
        return Cause.NEW_INPUTS
    moved = signs.move_p <= alpha and signs.move >= SMALL_MOVE
    mix = signs.mix_p <= alpha and signs.mix_change >= SMALL_MIX_CHANGE
    if moved:
        return Cause.COVARIATE_SHIFT
    if new:
        return Cause.MIXED if mix and signs.mix_change > 2 * signs.excess else Cause.NEW_INPUTS
    if mix:
        return Cause.LABEL_SHIFT
    if signs.move_p <= alpha:
        return Cause.COVARIATE_SHIFT
    if signs.mix_p <= alpha:
        return Cause.LABEL_SHIFT
    return Cause.CONFIDENCE_ONLY if signs.confidence_p <= alpha else Cause.MIXED


def signs_of(
    reference: Reference, window: Window, features: RowFeatures, now: Floats32, alpha: float, rng: np.random.Generator
) -> Signs:
    """Measure the signs, on the rows of both sides that are not flagged."""
    held_out, rows = reference.held_out, window.rows
    kept = (held_out.scores < reference.threshold, (rows.scores < reference.threshold) & rows.finite)
    places = [_drawn(np.flatnonzero(one), rng) for one in kept]
    law = reference.flagged_law
    excess = window.flagged_share - law.expected_share if law.rank else 0.0
    excess_p = flagged_p_value(law, window.flagged_total, window.total)
    if min(len(one) for one in places) < 2:
        # Every input is strange: nothing is left that could look as before.
        return Signs(excess, excess_p, np.inf, 0.0, 0.0, 1.0, 1.0)
    before, after = features.held_out[places[0]], now[places[1]]
    strata = None
    if held_out.class_indices is not None and rows.class_indices is not None:
        strata = (held_out.class_indices[places[0]], rows.class_indices[places[1]])
    inside = _gaps(before, after, strata, rng)
    looks = max_t_test(inside, features.blocks, {"move": _named(features.blocks, "mmd", "whitened mean")})
    white = next(block.columns for block in features.blocks if block.name == "whitened mean")
    squares = (inside[:, white] ** 2).sum(axis=1)
    move = float(np.sqrt(max(float(squares[0] - squares[1:].mean()), 0.0)))
    if strata is None:
        return Signs(excess, excess_p, move, looks.p_value, 0.0, 1.0, 1.0)
    sure = max_t_test(inside, features.blocks, {"confidence": _named(features.blocks, "ks softmax", "ks confidence")})
    across = permuted_gaps(before, after, DRAWS, rng)
    mix = max_t_test(across, features.blocks, {"mix": _named(features.blocks, "classes")})
    return Signs(excess, excess_p, move, looks.p_value, _mix_change(strata), mix.p_value, sure.p_value)


def _gaps(
    before: Floats32, after: Floats32, strata: tuple[Places, Places] | None, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    if strata is not None and np.intersect1d(*strata).size == 0:
        strata = None
    return permuted_gaps(before, after, DRAWS, rng, strata)


def _mix_change(strata: tuple[Places, Places]) -> float:
    """Half the summed change of class shares, less what chance alone would make of it."""
    number = int(max(one.max() for one in strata)) + 1
    shares = [np.bincount(one, minlength=number) / one.size for one in strata]
    pooled = (shares[0] + shares[1]) / 2
    chance = np.sqrt(2 / np.pi * pooled * (1 - pooled) * (1 / strata[0].size + 1 / strata[1].size)).sum() / 2
    return max(float(np.abs(shares[1] - shares[0]).sum() / 2 - chance), 0.0)


def _named(blocks: tuple[Block, ...], *prefixes: str) -> tuple[str, ...]:
    return tuple(block.name for block in blocks if block.name.startswith(prefixes))


def _drawn(places: Places, rng: np.random.Generator) -> Places:
    return places if places.size <= ROWS_PER_SIDE else np.sort(rng.choice(places, ROWS_PER_SIDE, replace=False))
