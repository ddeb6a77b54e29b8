"""The window: the slice of production that is compared with the reference."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from store.predictions import RecordedWindow

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """Predictions to compare with the reference; n rows, a uniform sample of `total` when there were more.

    `embeddings` `(n, d)` may hold values that are not finite. `class_indices` `(n,)` are -1 and `confidences` `(n,)`
    NaN where the learner predicts no single class; `scores` and `p_values` `(n,)` are NaN where nothing was scored.
    """

    embeddings: npt.NDArray[np.float32]
    class_indices: npt.NDArray[np.int64]
    confidences: Floats
    scores: Floats
    p_values: Floats
    total: int
    scored_total: int
    flagged_total: int

    @classmethod
    def of_record(cls, recorded: RecordedWindow) -> "Window":
        """The window that the record holds."""
        return cls(
            embeddings=recorded.embeddings,
            class_indices=recorded.class_indices,
            confidences=recorded.confidences,
            scores=recorded.scores,
            p_values=recorded.p_values,
            total=recorded.total,
            scored_total=recorded.scored_total,
            flagged_total=recorded.flagged_total,
        )

    @property
    def flagged_share(self) -> float:
        return self.flagged_total / self.scored_total if self.scored_total else 0.0

    def finite_embeddings(self) -> npt.NDArray[np.float32]:
        """The embeddings that can be computed with, shape `(≤ n, d)`; the others are flagged one by one."""
        return self.embeddings[np.isfinite(self.embeddings).all(axis=1)]
