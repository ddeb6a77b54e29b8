"""Are more inputs flagged out of domain than the calibrated rate explains? (beta-binomial tail; Bates et al. 2023)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.reference import Reference
from monitor.settings import MonitorSettings
from monitor.window import Window


class FlaggedShare:
    """Share of flagged inputs against the calibrated rate."""

    name = "flagged_share"
    title = "Share of out-of-domain inputs"

    def __call__(
        self, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
    ) -> Finding:
        law = reference.flagged_law
        if law.rank == 0:
            raise NotApplicable(
                f"The reference has {law.m} calibration rows, too few to flag anything at alpha {law.alpha:g}."
            )
        if window.scored_total == 0:
            raise NotApplicable("No input of this window was scored: the gateway ran without a reference.")
        share, expected = window.flagged_share, law.expected_share
        low, high = law.interval(window.scored_total)
        counts = f"{window.flagged_total:,} of {window.scored_total:,} inputs ({share:.1%}) are unlike training data"
        return Finding(
            statistic=share,
            p_value=law.p_value(window.flagged_total, window.scored_total),
            effect=share - expected,
            effect_name="excess share of flagged inputs",
            matters=share - expected >= settings.matters.flagged_excess,
            quiet=f"{counts}, as expected: {low:.1%} to {high:.1%} would be if nothing had changed.",
            loud=f"{counts}; at most {high:.1%} would be if nothing had changed. Something new arrives.",
            detail={"expected_share": expected, "expected_low": low, "expected_high": high},
        )
