"""Estimates of accuracy without labels as their papers define them; NannyML's own runs in its environment."""

import numpy as np
from scipy.special import softmax

from bench.sets import Rows


def estimates(held_out: Rows, window: Rows) -> dict[str, float]:
    """Each estimate of the window's accuracy."""
    assert held_out.labels is not None
    before, now = (softmax(rows.logits.astype(np.float64), axis=1) for rows in (held_out, window))
    right = before.argmax(axis=1) == held_out.labels
    accuracy = float(right.mean())
    sure_before, sure_now = before.max(axis=1), now.max(axis=1)
    threshold = float(np.quantile(sure_before, 1 - accuracy))
    entropies = [-(part * np.log(np.maximum(part, 1e-12))).sum(axis=1) for part in (before, now)]
    by_entropy = float(np.quantile(entropies[0], accuracy))
    return {
        "no change assumed": accuracy,
        "average confidence": float(sure_now.mean()),
        "difference of confidences": accuracy - float(sure_before.mean() - sure_now.mean()),
        "ATC, largest probability": float((sure_now >= threshold).mean()),
        "ATC, entropy": float((entropies[1] <= by_entropy).mean()),
    }
