"""Do the inputs, as the learner sees them, come from another distribution? (MMD on embeddings, Gretton et al. 2012)"""

import numpy as np
import numpy.typing as npt

from monitor.checks.base import Finding, NotApplicable
from monitor.checks.two_samples import permutation_mmd, sample, separability
from monitor.reference import Reference
from monitor.scorers.base import unit_rows
from monitor.settings import MonitorSettings
from monitor.window import Window

ROWS_PER_SIDE = 2_000
PERMUTATIONS = 999


class CovariateShift:
    """Embeddings of the window against embeddings of held-out rows."""

    name = "covariate_shift"
    title = "Look of the inputs"

    def __call__(
        self, reference: Reference, window: Window, settings: MonitorSettings, rng: np.random.Generator
    ) -> Finding:
        finite = window.finite_embeddings()
        if finite.shape[0] < settings.minimum_rows // 2:
            raise NotApplicable(f"Only {finite.shape[0]:,} embeddings of this window are finite: see those flagged.")
        before, now = _on_sphere(reference.held_out.embeddings, rng), _on_sphere(finite, rng)
        statistic, p_value = permutation_mmd(before, now, PERMUTATIONS, rng)
        area = separability(before, now, rng)
        apart = f"one direction tells production from training with AUC {area:.2f} (0.50 = not at all, 1.00 = wholly)"
        return Finding(
            statistic=statistic,
            p_value=p_value,
            effect=area,
            effect_name="separability of window and training (AUC)",
            matters=area >= settings.matters.separability,
            quiet=f"Inputs look to the learner as they did in training: {apart}.",
            loud=f"Inputs look different to the learner than in training: {apart}.",
            detail={"reference_rows": len(before), "window_rows": len(now), "permutations": PERMUTATIONS},
        )


def _on_sphere(embeddings: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return unit_rows(sample(embeddings, ROWS_PER_SIDE, rng).astype(np.float64)).astype(np.float32)
