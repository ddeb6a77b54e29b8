"""Do the inputs, as the learner sees them, come from another distribution? (MMD on embeddings, Gretton et al. 2012)"""

import numpy as np

from monitor.checks.base import Finding, NotApplicable
from monitor.reference.profile import Reference
from monitor.reference.scorers.base import unit_rows
from monitor.reference.window import Window
from monitor.settings import MaterialEffects
from monitor.shift.separability import sample, separability

ROWS_PER_SIDE = 2_000


class CovariateShift:
    """Embeddings of the window against embeddings of the reference's rows."""

    name = "covariate_shift"
    title = "Look of the inputs"
    blocks: tuple[str, ...] = ("mmd", "whitened mean")

    def describe(self, reference: Reference, window: Window, rng: np.random.Generator) -> Finding:
        finite = window.rows.embeddings[window.rows.finite]
        if 2 * len(finite) <= len(window.rows):
            raise NotApplicable(f"Only {len(finite):,} embeddings of this window are finite: see those flagged.")
        held_out, recorded = (
            unit_rows(sample(rows, ROWS_PER_SIDE, rng)) for rows in (reference.held_out.embeddings, finite)
        )
        area = separability(held_out, recorded, rng)
        separation = f"one direction tells production apart with AUC {area:.2f} (0.50 = not at all, 1.00 = wholly)"
        return Finding(
            effect=area,
            effect_name="separability of window and reference (AUC)",
            quiet=f"Inputs look to the learner as they did in {reference.compared_with}: {separation}.",
            loud=f"Inputs look different to the learner than in {reference.compared_with}: {separation}.",
            detail={"reference_rows": len(held_out), "window_rows": len(recorded)},
        )

    def matters(self, effect: float, matters: MaterialEffects) -> bool:
        return effect >= matters.separability
