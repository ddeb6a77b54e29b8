"""Is the learner more or less sure of itself? (Kolmogorov–Smirnov per class, Rabanser et al. 2019)"""

import numpy as np
from scipy import stats

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.settings import MaterialEffects


class ConfidenceShift:
    """Probabilities of the window against probabilities of the reference's rows."""

    name = "confidence_shift"
    title = "Confidence"
    blocks: tuple[str, ...] = ("ks softmax", "ks confidence")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        held_out, recorded = reference.held_out.confidences, window.rows.confidences
        if held_out is None or recorded is None or not window.rows.finite.any():
            raise NotApplicable("This learner gives no confidence in one class.")
        finite = recorded[window.rows.finite]
        # Rounded, so that differences in the last bits of almost sure predictions are ties and not ranks.
        distance = float(stats.ks_2samp(np.round(held_out, 4), np.round(finite, 4), method="asymp").statistic)
        held_out_mean, window_mean = float(held_out.mean()), float(finite.mean())
        direction = "less" if window_mean < held_out_mean else "more"
        averages = f"{window_mean:.1%} on average, {held_out_mean:.1%} in {reference.compared_with}"
        moved = f"The learner is {direction} sure of itself than before"
        if f"{window_mean:.1%}" == f"{held_out_mean:.1%}":
            moved = "The learner's confidence is spread differently than before"
        return Finding(
            effect=distance,
            effect_name="largest gap between the two distributions",
            quiet=f"The learner is as sure of itself as before: {averages}.",
            loud=f"{moved}: {averages}.",
            detail={"training_mean": held_out_mean, "window_mean": window_mean},
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.confidence_distance
