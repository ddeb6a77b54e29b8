"""Does the learner predict another mix of classes? (chi-squared of predicted classes, by permutation)"""

import numpy as np
import numpy.typing as npt

from monitor.checks.base import Finding, NotApplicable
from monitor.checks.two_samples import simulated_p_value
from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.window import Window

PERMUTATIONS = 9_999
CLASSES_IN_DETAIL = 30

Floats = npt.NDArray[np.float64]


class LabelShift:
    """Predicted classes of the window against predicted classes of held-out rows."""

    name = "label_shift"
    title = "Mix of predicted classes"

    def __call__(
        self, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
    ) -> Finding:
        before, now = reference.held_out.class_indices, window.class_indices[window.class_indices >= 0]
        if before is None or reference.held_out.logits is None or now.size == 0:
            raise NotApplicable("This learner does not predict one class of several.")
        number = reference.held_out.logits.shape[1]
        counts = np.stack([np.bincount(before, minlength=number), np.bincount(now, minlength=number)])
        m, n = counts.sum(axis=1)
        shares = counts / counts.sum(axis=1, keepdims=True)
        pooled = counts.sum(axis=0)

        def chi_squared(window_counts: Floats) -> Floats:
            expected = np.maximum(pooled * (n / (m + n)), 1e-12)
            other = np.maximum(pooled * (m / (m + n)), 1e-12)
            gap = window_counts - expected
            statistics: Floats = (gap**2 / expected + gap**2 / other).sum(axis=-1)
            return statistics

        observed = float(chi_squared(counts[1].astype(np.float64)))
        # Permuting rows between the samples draws the window's counts without replacement from the pooled ones.
        draws = rng.multivariate_hypergeometric(pooled, int(n), size=PERMUTATIONS, method="marginals")
        change = shares[1] - shares[0]
        moved = float(np.abs(change).sum() / 2)
        known = reference.origin.classes if reference.origin else []
        names = known or [str(place) for place in range(number)]
        order = np.argsort(-np.abs(change))[:CLASSES_IN_DETAIL]
        most = "; ".join(f"{names[i]}: {shares[0][i]:.0%} → {shares[1][i]:.0%}" for i in order[:3])
        return Finding(
            statistic=observed,
            p_value=simulated_p_value(chi_squared, observed, draws.astype(np.float64)),
            effect=moved,
            effect_name="share of predictions that moved to other classes",
            matters=moved >= settings.matters.class_mix_change,
            quiet=f"Classes are predicted in their usual mix ({moved:.1%} of predictions differ).",
            loud=f"The mix of predicted classes has moved by {moved:.1%}. Most of all {most}.",
            detail={
                "classes": [
                    {"class": names[i], "training": float(shares[0][i]), "window": float(shares[1][i])} for i in order
                ]
            },
        )
