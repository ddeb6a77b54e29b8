"""Mahalanobis distance to the nearest class on the unit sphere (Lee et al. 2018; Mahalanobis++, Müller & Hein 2025)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.covariance import ledoit_wolf

from monitor.scorers.base import Arrays, Features, Floats, Scorer, Training, unit_rows


@dataclass(frozen=True)
class Mahalanobis(Scorer):
    """min over classes (z − μ_c)ᵀ Σ⁻¹ (z − μ_c), z = x/‖x‖, with one Σ of all classes, shrunk (Ledoit & Wolf 2004).

    `whitening` `(d, d)` and `means` `(c, d)`, the class means already whitened, about `centre` `(d,)`.
    """

    name: ClassVar[str] = "mahalanobis"

    centre: Floats
    whitening: Floats
    means: Floats

    @classmethod
    def applies(cls, training: Training) -> bool:
        return True

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> "Mahalanobis":
        z = unit_rows(training.features.embeddings)
        classes = np.zeros(z.shape[0], np.int64) if training.classes is None else training.classes
        present, inverse = np.unique(classes, return_inverse=True)
        sums = np.zeros((present.size, z.shape[1]))
        np.add.at(sums, inverse, z)
        means = sums / np.bincount(inverse)[:, None]
        covariance, _ = ledoit_wolf(z - means[inverse], assume_centered=True)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        # Constant dimensions and few rows give zero eigenvalues; the floor makes a move along them count, not explode.
        floor = max(float(eigenvalues.max()) * 1e-6, 1e-12)
        whitening = vectors / np.sqrt(np.maximum(eigenvalues, floor))
        centre = z.mean(axis=0)
        return cls(centre, whitening, (means - centre) @ whitening)

    def score(self, features: Features) -> Floats:
        white = (unit_rows(features.embeddings) - self.centre) @ self.whitening
        squares = (white**2).sum(axis=1)[:, None] + (self.means**2).sum(axis=1)[None, :] - 2 * white @ self.means.T
        nearest: Floats = np.maximum(squares, 0.0).min(axis=1)
        return nearest

    def arrays(self) -> Arrays:
        return {"centre": self.centre, "whitening": self.whitening, "means": self.means}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Mahalanobis":
        return cls(*(arrays[key].astype(np.float64) for key in ("centre", "whitening", "means")))
