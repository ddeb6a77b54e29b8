"""Tidegate as its users call it: one configuration for every set."""

import numpy as np

from bench.sets import DomainSet
from tidegate import Reference, fit_reference

CALIBRATION_ROWS = 2_000


def reference_of(domain: DomainSet, rows: int = CALIBRATION_ROWS, seed: int = 0) -> Reference:
    """The reference of a set, calibrated on so many held-out rows."""
    held_out = domain.held_out.take(slice(0, rows))
    return fit_reference(
        domain.training.embeddings,
        domain.training.logits,
        domain.training.labels,
        calibration=(held_out.embeddings, held_out.logits, held_out.labels),
        head=domain.head,
        rng=np.random.default_rng(seed),
    )
