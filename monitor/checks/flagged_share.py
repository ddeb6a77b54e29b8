"""Are inputs stranger than the calibrated rate explains? (out-of-domain scores: mean, tail, Kolmogorov–Smirnov)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.window import Window
from monitor.settings import MaterialEffects


class FlaggedShare:
    """Out-of-domain scores of the window against those of the reference's rows; the share of flagged inputs beside."""

    name = "flagged_share"
    title = "Share of out-of-domain inputs"
    blocks: tuple[str, ...] = ("ks score", "score tail", "score parts")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        law = reference.flagged_law
        if law.rank == 0:
            raise NotApplicable(f"The reference has too few held-out rows to flag anything at alpha {law.alpha:g}.")
        share, expected = window.flagged_share, law.expected_share
        low, high = law.interval(window.total)
        counts = f"{window.flagged_total:,} of {window.total:,} inputs ({share:.1%}) are unlike training data"
        expectation = f"{low:.1%} to {high:.1%} would be if nothing had changed"
        mean_score = float(window.rows.scores[window.rows.finite].mean()) if window.rows.finite.any() else np.inf
        scores = f"Their mean out-of-domain score is {mean_score:.2f}, {reference.held_out.scores.mean():.2f} before."
        return Finding(
            effect=share - expected,
            effect_name="excess share of flagged inputs",
            quiet=f"{counts}; {expectation}.",
            loud=f"{counts}; {expectation}. {scores}",
            detail={"expected_share": expected, "expected_low": low, "expected_high": high},
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.flagged_excess
