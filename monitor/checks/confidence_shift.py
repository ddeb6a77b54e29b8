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
        before, now = reference.held_out.confidences, window.rows.confidences
        if before is None or now is None or not window.rows.finite.any():
            raise NotApplicable("This learner gives no confidence in one class.")
        finite = now[window.rows.finite]
        # Rounded, so that differences in the last bits of almost sure predictions are ties and not ranks.
        distance = float(stats.ks_2samp(np.round(before, 4), np.round(finite, 4), method="asymp").statistic)
        means = float(before.mean()), float(finite.mean())
        direction = "less" if means[1] < means[0] else "more"
        averages = f"{means[1]:.1%} on average, {means[0]:.1%} in {reference.compared_with}"
        return Finding(
            effect=distance,
            effect_name="largest gap between the two distributions",
            quiet=f"The learner is as sure of itself as before: {averages}.",
            loud=f"The learner is {direction} sure of itself than before: {averages}.",
            detail={"training_mean": means[0], "window_mean": means[1]},
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.confidence_distance
