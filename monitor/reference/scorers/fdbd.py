"""Distance to the decision boundaries, relative to the distance to the training mean (fDBD, Liu & Qin 2024)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from monitor.reference.scorers.base import Arrays, Features, Floats, Scorer, Training


@dataclass(frozen=True)
class FastDecisionBoundary(Scorer):
    """Minus the mean over the other classes of (max L − L_j)/‖w_pred − w_j‖, divided by ‖x − μ‖.

    Inputs far from training lie close to a boundary for their distance from the centre (fDBD, Liu & Qin 2024).

    Attributes:
        centre: μ, the mean training embedding, shape `(d,)`.
        distances: ‖w_i − w_j‖ of the head's weights, shape `(c, c)`.
    """

    name: ClassVar[str] = "fdbd"
    title: ClassVar[str] = "distance to the borders between classes"

    centre: Floats
    distances: Floats

    @classmethod
    def applies(cls, training: Training) -> bool:
        logits, head = training.features.logits, training.head
        return logits is not None and head is not None and logits.shape[1] >= 2 and head[0].shape[0] == logits.shape[1]

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> "FastDecisionBoundary":
        assert training.head is not None
        weights = training.head[0]
        squares = (weights**2).sum(axis=1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * weights @ weights.T, 0.0))
        features = training.features
        centre = sum(rows.sum(axis=0) for _, rows in features.chunks()) / features.embeddings.shape[0]
        return cls(np.asarray(centre, np.float64), distances)

    def score(self, features: Features) -> Floats:
        assert features.logits is not None
        logits = features.logits
        predicted = logits.argmax(axis=1)
        margins = logits.max(axis=1, keepdims=True) - logits
        weight_distances = self.distances[predicted]
        # Two classes with the same weights have no boundary between them and are left out.
        to_boundary = np.divide(margins, weight_distances, out=np.zeros_like(margins), where=weight_distances > 1e-12)
        other_classes = np.maximum((weight_distances > 1e-12).sum(axis=1), 1)
        to_centre = np.linalg.norm(features.embeddings - self.centre, axis=1)
        relative: Floats = to_boundary.sum(axis=1) / other_classes / np.maximum(to_centre, 1e-12)
        return -relative

    def arrays(self) -> Arrays:
        return {"centre": self.centre, "distances": self.distances}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "FastDecisionBoundary":
        return cls(arrays["centre"].astype(np.float64), arrays["distances"].astype(np.float64))
