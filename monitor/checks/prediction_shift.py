"""Does the learner predict other numbers? (Kolmogorov–Smirnov of each predicted number, and their means)"""

import numpy as np
from scipy import stats

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.rows import Floats
from monitor.reference.window import Window
from monitor.settings import MaterialEffects
from monitor.shift.readable_numbers import quartiles_in_words, sensible
from monitor.shift.row_features import NUMBER_BLOCKS

NUMBERS_IN_DETAIL = 30
NUMBERS_NAMED = 3


class PredictionShift:
    """Predicted numbers of the window against those of the reference's rows."""

    name = "prediction_shift"
    title = "Predicted numbers"
    blocks: tuple[str, ...] = NUMBER_BLOCKS

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        held_out, recorded = reference.held_out.numbers, window.rows.numbers
        classes = reference.origin.classes if reference.origin is not None else []
        if reference.held_out.logits is not None or classes:
            raise NotApplicable("This learner predicts classes, not numbers.")
        if held_out is None or recorded is None:
            raise NotApplicable(
                "The reference keeps no predicted numbers to compare with. Where the learner predicts numbers, make it "
                "again with `tidegate profile`."
            )
        held_out, known = (rows[np.isfinite(rows).all(axis=1)] for rows in (held_out, recorded[window.rows.finite]))
        if not len(known) or not len(held_out):
            raise NotApplicable("No prediction of this window came with its numbers.")
        names = number_names(reference)
        gaps = [
            float(stats.ks_2samp(held_out[:, index], known[:, index], method="asymp").statistic)
            for index in range(held_out.shape[1])
        ]
        before, now = (np.quantile(rows, [0.25, 0.5, 0.75], axis=0).T for rows in (held_out, known))
        order = np.argsort(-np.array(gaps), kind="stable")[:NUMBERS_IN_DETAIL]
        said = [f"{names[index]}: {_moved(before[index], now[index])}" for index in order[:NUMBERS_NAMED]]
        first = order[0]
        medians = [sensible(float(quartiles[first][1])) for quartiles in (before, now)]
        usual = f"{names[first]}: median {medians[1]}, {medians[0]} there"
        return Finding(
            effect=max(gaps),
            effect_name="largest gap between the two distributions",
            quiet=f"The predicted numbers are as in {reference.compared_with}: {usual}.",
            loud=f"The predicted numbers have moved: {'; '.join(said)}.",
            detail={
                "numbers": [
                    {
                        "name": names[index],
                        "training_quartiles": before[index].tolist(),
                        "window_quartiles": now[index].tolist(),
                        "gap": gaps[index],
                    }
                    for index in order
                ]
            },
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.number_distance


def number_names(reference: Reference) -> list[str]:
    """What each predicted number is called in front of people."""
    assert reference.held_out.numbers is not None
    count = reference.held_out.numbers.shape[1]
    if len(reference.number_names) == count:
        return [f"predicted {name}" for name in reference.number_names]
    return ["predicted number"] if count == 1 else [f"predicted number {index + 1}" for index in range(count)]


def _moved(before: Floats, now: Floats) -> str:
    """Quartiles before and now, in words."""
    kind, words = quartiles_in_words(before, now)
    return f"{kind} {words[0]} as before" if words[0] == words[1] else f"{kind} {words[0]} → {words[1]}"
