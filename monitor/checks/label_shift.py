"""Does the learner predict another mix of classes? (chi-squared of predicted classes, and their mean probabilities)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.thin_classes import describe_thin_classes
from monitor.reference.window import Window
from monitor.settings import MaterialEffects

CLASSES_IN_DETAIL = 30


class LabelShift:
    """Predicted classes of the window against predicted classes of the reference's rows."""

    name = "label_shift"
    title = "Mix of predicted classes"
    blocks: tuple[str, ...] = ("classes", "mean softmax")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        held_out, recorded = reference.held_out.class_indices, window.rows.class_indices
        if held_out is None or recorded is None or reference.held_out.logits is None:
            raise NotApplicable("This learner does not predict one class of several.")
        classes = reference.held_out.logits.shape[1]
        held_out_shares, window_shares = (
            np.bincount(rows, minlength=classes) / max(rows.size, 1)
            for rows in (held_out, recorded[window.rows.finite])
        )
        change = window_shares - held_out_shares
        moved = float(np.abs(change).sum() / 2)
        names = reference.class_names
        order = np.argsort(-np.abs(change), kind="stable")[:CLASSES_IN_DETAIL]
        most = "; ".join(f"{names[i]}: {held_out_shares[i]:.0%} → {window_shares[i]:.0%}" for i in order[:3])
        loud = f"The mix of predicted classes has moved by {moved:.1%}. Most of all {most}."
        if f"{moved:.1%}" == "0.0%":
            loud = "Classes are predicted in their usual mix, and their mean probabilities differ."
        left_out = _left_out(reference, window)
        return Finding(
            effect=moved,
            effect_name="share of predictions that moved to other classes",
            quiet=f"Classes are predicted in their usual mix ({moved:.1%} of predictions differ).{left_out}",
            loud=f"{loud}{left_out}",
            detail={
                "classes": [
                    {"class": names[i], "training": float(held_out_shares[i]), "window": float(window_shares[i])}
                    for i in order
                ]
            },
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.class_mix_change


def _left_out(reference: Reference, window: Window) -> str:
    """Which classes are not compared, with their share of the window, as a sentence after another."""
    if not window.left_out:
        return ""
    share = window.left_out / (window.left_out + len(window.rows))
    thin = describe_thin_classes(reference.thin_classes, reference.class_names)
    return f" Not compared: {share:.0%} of predictions, because there are too few held-out rows of {thin}."
