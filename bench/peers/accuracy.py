"""Estimates of accuracy without labels as their papers define them; NannyML's own runs in its environment."""

import numpy as np
from scipy.special import softmax

from bench.sets import Rows


def estimates(held_out: Rows, window: Rows) -> dict[str, float]:
    """Estimates of the window's accuracy by the name of their method."""
    assert held_out.labels is not None
    reference_softmax, window_softmax = (softmax(rows.logits.astype(np.float64), axis=1) for rows in (held_out, window))
    right = reference_softmax.argmax(axis=1) == held_out.labels
    accuracy = float(right.mean())
    reference_confidences, window_confidences = reference_softmax.max(axis=1), window_softmax.max(axis=1)
    threshold = float(np.quantile(reference_confidences, 1 - accuracy))
    entropies = [-(part * np.log(np.maximum(part, 1e-12))).sum(axis=1) for part in (reference_softmax, window_softmax)]
    entropy_threshold = float(np.quantile(entropies[0], accuracy))
    return {
        "no change assumed": accuracy,
        "average confidence": float(window_confidences.mean()),
        "difference of confidences": accuracy - float(reference_confidences.mean() - window_confidences.mean()),
        "ATC, largest probability": float((window_confidences >= threshold).mean()),
        "ATC, entropy": float((entropies[1] <= entropy_threshold).mean()),
    }
