"""Distance to the k-th nearest training row on the unit sphere (Sun et al. 2022)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from monitor.scorers.base import Arrays, Features, Floats, Scorer, Training, unit_rows

NEIGHBOURS = 5
CORESET_ROWS = 8_000


@dataclass(frozen=True)
class NearestNeighbours(Scorer):
    """‖z − z₍ₖ₎‖, the distance of z = x/‖x‖ to the k-th nearest of a uniform coreset of training rows `(r, d)`.

    `rows` are the places of the coreset among the training rows, for showing the nearest training examples.
    """

    name: ClassVar[str] = "knn"

    coreset: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]

    @classmethod
    def applies(cls, training: Training) -> bool:
        return True

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> "NearestNeighbours":
        n = training.features.embeddings.shape[0]
        rows = np.arange(n)
        if n > CORESET_ROWS:
            rows = np.sort(rng.choice(n, CORESET_ROWS, replace=False))
        return cls.of(training.features.embeddings[rows], rows)

    @classmethod
    def of(cls, embeddings: Floats, rows: npt.NDArray[np.int64]) -> "NearestNeighbours":
        """An index of these embeddings, rounded to float16 as its file keeps them, so that saving changes no score."""
        return cls(unit_rows(embeddings).astype(np.float16).astype(np.float32), rows.astype(np.int64))

    def score(self, features: Features) -> Floats:
        return self.nearest(features, NEIGHBOURS)[1][:, -1].astype(np.float64)

    def nearest(self, features: Features, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Places `(n, k)` among the training rows, nearest first, and their distances `(n, k)`."""
        k = min(k, self.coreset.shape[0])
        z = unit_rows(features.embeddings).astype(np.float32)
        places = np.empty((z.shape[0], k), np.int64)
        distances = np.empty((z.shape[0], k), np.float32)
        for start in range(0, z.shape[0], 1_024):
            part = z[start : start + 1_024]
            similarity = part @ self.coreset.T
            nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
            chosen = np.take_along_axis(similarity, nearest, axis=1)
            order = np.argsort(-chosen, axis=1, kind="stable")
            places[start : start + 1_024] = self.rows[np.take_along_axis(nearest, order, axis=1)]
            closest = np.take_along_axis(chosen, order, axis=1)
            # On unit vectors ‖a − b‖² = 2 − 2 a·b; a zero row has no direction and lies at √2 from all.
            distances[start : start + 1_024] = np.sqrt(np.maximum(2.0 - 2.0 * closest, 0.0))
        return places, distances

    def arrays(self) -> Arrays:
        return {"coreset": self.coreset.astype(np.float16), "rows": self.rows}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "NearestNeighbours":
        return cls(arrays["coreset"].astype(np.float32), arrays["rows"].astype(np.int64))
