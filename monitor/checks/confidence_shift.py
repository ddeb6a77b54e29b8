"""Is the learner more or less sure of itself than on held-out rows? (two-sample Kolmogorov–Smirnov)"""

import numpy as np
from scipy import stats

from monitor.checks.base import Finding, NotApplicable
from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.window import Window


class ConfidenceShift:
    """Confidences of the window against confidences of held-out rows."""

    name = "confidence_shift"
    title = "Confidence"

    def __call__(
        self, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
    ) -> Finding:
        before, now = reference.held_out.confidences, window.confidences[np.isfinite(window.confidences)]
        if before is None or now.size == 0:
            raise NotApplicable("This learner gives no confidence in one class.")
        # Rounded, so that differences in the last bits of almost sure predictions are ties and not ranks.
        result = stats.ks_2samp(np.round(before, 4), np.round(now, 4))
        distance = float(result.statistic)
        means = float(before.mean()), float(now.mean())
        direction = "less" if means[1] < means[0] else "more"
        averages = f"{means[1]:.1%} on average, {means[0]:.1%} on held-out training data"
        return Finding(
            statistic=distance,
            p_value=float(result.pvalue),
            effect=distance,
            effect_name="largest gap between the two distributions",
            matters=distance >= settings.matters.confidence_distance,
            quiet=f"The learner is as sure of itself as before: {averages}.",
            loud=f"The learner is {direction} sure of itself than before: {averages}.",
            detail={"training_mean": means[0], "window_mean": means[1]},
        )
