"""Are inputs stranger than the calibrated rate explains? (out-of-domain scores: mean, tail, Kolmogorov–Smirnov)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.conformal import FlaggedLaw
from monitor.reference import Reference
from monitor.settings import Matters
from monitor.window import Window


class FlaggedShare:
    """Out-of-domain scores of the window against those of the reference's rows; the share of flagged inputs beside."""

    name = "flagged_share"
    title = "Share of out-of-domain inputs"
    blocks: tuple[str, ...] = ("ks score", "score tail", "score parts")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        law = reference.flagged_law
        if law.rank == 0:
            raise NotApplicable(
                f"The reference has {law.m} calibration rows, too few to flag anything at alpha {law.alpha:g}."
            )
        share, expected = window.flagged_share, law.expected_share
        low, high = law.interval(window.total)
        counts = f"{window.flagged_total:,} of {window.total:,} inputs ({share:.1%}) are unlike training data"
        usual = f"{low:.1%} to {high:.1%} would be if nothing had changed"
        stranger = float(window.rows.scores[window.rows.finite].mean()) if window.rows.finite.any() else np.inf
        scores = f"Their mean out-of-domain score is {stranger:.2f}, {reference.held_out.scores.mean():.2f} before."
        return Finding(
            effect=share - expected,
            effect_name="excess share of flagged inputs",
            quiet=f"{counts}; {usual}.",
            loud=f"{counts}; {usual}. {scores}",
            detail={"expected_share": expected, "expected_low": low, "expected_high": high},
        )

    def matters(self, effect: float, matters: Matters) -> bool:
        return effect >= matters.flagged_excess


def flagged_p_value(law: FlaggedLaw, flagged: int, total: int) -> float:
    """P(at least so many flagged if nothing has changed); 1 where nothing can be flagged or nothing came."""
    return law.p_value(flagged, total) if law.rank and total else 1.0
