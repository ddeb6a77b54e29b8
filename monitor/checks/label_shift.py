"""Does the learner predict another mix of classes? (chi-squared of predicted classes, and their mean probabilities)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.settings import MaterialEffects

CLASSES_IN_DETAIL = 30


class LabelShift:
    """Predicted classes of the window against predicted classes of the reference's rows."""

    name = "label_shift"
    title = "Mix of predicted classes"
    blocks: tuple[str, ...] = ("classes", "mean softmax")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        before, now = reference.held_out.class_indices, window.rows.class_indices
        if before is None or now is None or reference.held_out.logits is None:
            raise NotApplicable("This learner does not predict one class of several.")
        number = reference.held_out.logits.shape[1]
        finite = now[window.rows.finite]
        shares = [np.bincount(rows, minlength=number) / max(rows.size, 1) for rows in (before, finite)]
        change = shares[1] - shares[0]
        moved = float(np.abs(change).sum() / 2)
        names = reference.class_names
        order = np.argsort(-np.abs(change), kind="stable")[:CLASSES_IN_DETAIL]
        most = "; ".join(f"{names[i]}: {shares[0][i]:.0%} → {shares[1][i]:.0%}" for i in order[:3])
        return Finding(
            effect=moved,
            effect_name="share of predictions that moved to other classes",
            quiet=f"Classes are predicted in their usual mix ({moved:.1%} of predictions differ).",
            loud=f"The mix of predicted classes has moved by {moved:.1%}. Most of all {most}.",
            detail={
                "classes": [
                    {"class": names[i], "training": float(shares[0][i]), "window": float(shares[1][i])} for i in order
                ]
            },
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.class_mix_change
