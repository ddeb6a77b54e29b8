"""Distances to the nearest of a coreset of training rows, in one of several spaces."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from monitor.reference.scorers.base import (
    AnyFloats,
    Arrays,
    ClassIndices,
    Features,
    Floats,
    Floats32,
    RowIndices,
    Scorer,
    Training,
    unit_rows,
)
from monitor.reference.scorers.coreset import k_centre_greedy, stratified_sample
from monitor.reference.scorers.embedding_space import DIRECTIONS, Space, within_class

# Of 50,000 rows every 12th: the first neighbour among these is about as near as the 12th among all, so k = 1 here is
# what k = 10 is there, at a tenth of the cost. Wide embeddings get fewer rows, as numbers are what costs time.
CORESET_ROWS = 6_144
CORESET_NUMBERS = 589_824
# The coreset is chosen from a sample of so many training rows.
POOL_ROWS = 20_000
_BLOCK = 16
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Neighbours(Scorer):
    """The distance to the nearest row of a coreset.

    Attributes:
        space: the coordinates in which distances are measured.
        coreset: its rows in these coordinates, shape `(r, q)`.
        squared_residuals: the squared distances of these rows from the space, shape `(r,)`.
        training_indices: the indices of these rows among the training rows, shape `(r,)`.
        classes: the labels of these rows, −1 where none are known, shape `(r,)`.
    """

    name: ClassVar[str]
    title: ClassVar[str] = "distance to the nearest training inputs"
    on_sphere: ClassVar[bool]

    space: Space
    coreset: Floats32
    squared_residuals: Floats32
    training_indices: RowIndices
    classes: ClassIndices

    @classmethod
    def applies(cls, training: Training) -> bool:
        return True

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> "Neighbours":
        n, d = training.features.embeddings.shape
        pool = stratified_sample(training.classes, n, POOL_ROWS, rng)
        points = cls._points(Features(training.features.embeddings[pool], None))
        space = cls._space(training, points)
        coordinates, residuals = space.coordinates(points)
        pool_classes = None if training.classes is None else training.classes[pool]
        size = min(CORESET_ROWS, CORESET_NUMBERS // min(d, DIRECTIONS))
        initial = stratified_sample(pool_classes, pool.size, size // 2, rng)
        chosen = k_centre_greedy(coordinates, residuals, initial, size)
        classes = np.full(chosen.size, -1) if pool_classes is None else pool_classes[chosen]
        training_indices = training.row_indices[pool[chosen]]
        return cls(
            space,
            coordinates[chosen],
            residuals[chosen],
            training_indices.astype(np.int64),
            classes.astype(np.int64),
        )

    @classmethod
    def _points(cls, features: Features) -> AnyFloats:
        return features.unit if cls.on_sphere else features.embeddings

    @classmethod
    def _space(cls, training: Training, rows: AnyFloats) -> Space:
        return Space.spanned_by(rows.astype(np.float64), centred=not cls.on_sphere)

    def score(self, features: Features) -> Floats:
        return self.nearest(features, 1)[1][:, 0].astype(np.float64)

    def nearest(self, features: Features, k: int) -> tuple[RowIndices, Floats32]:
        """The k nearest rows of the coreset, or all of it where it is smaller.

        Args:
            features: of n rows.
            k: how many neighbours.

        Returns:
            Indices in the coreset `(n, k)`, nearest first, and the distances to these rows `(n, k)`.
        """
        k = min(k, self.coreset.shape[0])
        coordinates, residuals = self.space.coordinates(self._points(features))
        n = len(residuals)
        coreset_indices = np.empty((n, k), np.int64)
        distances = np.empty((n, k), np.float32)
        for start in range(0, n, _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            coreset_indices[rows], closeness = self._closest(coordinates[rows], k)
            squares = np.einsum("ij,ij->i", coordinates[rows], coordinates[rows]) + residuals[rows]
            distances[rows] = np.sqrt(np.maximum(squares[:, None] - 2 * closeness, 0.0))
        return coreset_indices, distances

    def _closest(self, coordinates: Floats32, k: int) -> tuple[RowIndices, Floats32]:
        """Indices `(n, k)` of the coreset rows y with the largest x·y − ‖y‖²/2, which are the nearest, and that number."""
        closeness = np.concatenate([coordinates, np.ones((len(coordinates), 1), np.float32)], axis=1) @ self._index
        if k == 1:
            closest = closeness.argmax(axis=1)[:, None]
            return closest, np.take_along_axis(closeness, closest, axis=1)
        n, width = closeness.shape
        # The k largest lie in the k blocks with the largest maxima: exact, and far cheaper than sorting whole rows.
        # A block is every (width / 16)-th row, so that its maximum is taken over contiguous memory.
        blocks = closeness.reshape(n, _BLOCK, width // _BLOCK)
        block_indices = _largest(blocks.max(axis=1), k)
        candidates = np.take_along_axis(blocks, block_indices[:, None, :], axis=2).reshape(n, -1)
        positions = _largest(candidates, k)
        largest = np.take_along_axis(candidates, positions, axis=1)
        order = np.argsort(-largest, axis=1, kind="stable")
        positions = np.take_along_axis(positions, order, axis=1)
        columns = np.take_along_axis(block_indices, positions % block_indices.shape[1], axis=1)
        closest = positions // block_indices.shape[1] * (width // _BLOCK) + columns
        return closest, np.take_along_axis(largest, order, axis=1)

    @cached_property
    def _index(self) -> Floats32:
        """The coreset's rows as columns, with −‖y‖²/2 below them, shape `(q + 1, r + filling)`.

        Columns that fill the last block lie infinitely far.
        """
        filling = -self.coreset.shape[0] % _BLOCK
        squares = np.einsum("ij,ij->i", self.coreset, self.coreset) + self.squared_residuals
        index = np.zeros((self.coreset.shape[1] + 1, self.coreset.shape[0] + filling), np.float32)
        index[:-1, : len(squares)] = self.coreset.T
        index[-1] = np.r_[-squares / 2, np.full(filling, -np.finfo(np.float32).max)]
        return index

    def arrays(self) -> Arrays:
        # These names stand in every reference file.
        arrays: Arrays = {
            "coreset": self.coreset,
            "off": self.squared_residuals,
            "rows": self.training_indices,
            "classes": self.classes,
        }
        return arrays | {f"space/{name}": value for name, value in self.space.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Neighbours":
        space = {name.removeprefix("space/"): value for name, value in arrays.items() if name.startswith("space/")}
        coreset, residuals = (arrays[name].astype(np.float32) for name in ("coreset", "off"))
        training_indices, classes = (arrays[name].astype(np.int64) for name in ("rows", "classes"))
        return cls(Space.from_arrays(space), coreset, residuals, training_indices, classes)


@dataclass(frozen=True)
class NearestNeighbours(Neighbours):
    """‖z − z₍₁₎‖ on the unit sphere, z = x/‖x‖ (Sun et al. 2022): the direction of the embedding, not its length."""

    name: ClassVar[str] = "knn"
    on_sphere: ClassVar[bool] = True

    @classmethod
    def of(cls, embeddings: AnyFloats) -> "NearestNeighbours":
        """An index of all of these embeddings."""
        rows = unit_rows(embeddings)
        space = Space.spanned_by(rows.astype(np.float64), centred=False)
        coreset, residuals = space.coordinates(rows)
        return cls(space, coreset, residuals, np.arange(len(rows)), np.full(len(rows), -1))


@dataclass(frozen=True)
class RawNeighbours(Neighbours):
    """‖x − x₍₁₎‖, the length of the embedding included (Ramaswamy, Rastogi & Shim 2000).

    For tables and standardised embeddings, where projection on the sphere loses what is strange.
    """

    name: ClassVar[str] = "knn_raw"
    on_sphere: ClassVar[bool] = False


@dataclass(frozen=True)
class WhitenedNeighbours(Neighbours):
    """The distance √((x − y)ᵀ Σ⁻¹ (x − y)) to the nearest row y, with one covariance Σ within all classes.

    As the Mahalanobis distance (Lee et al. 2018), but to single rows and not to class means, so that classes may have
    any shape.
    """

    name: ClassVar[str] = "knn_whitened"
    on_sphere: ClassVar[bool] = False

    @classmethod
    def _space(cls, training: Training, rows: AnyFloats) -> Space:
        return Space.whitened(*within_class(training.features, training.classes))


def _largest(values: Floats32, k: int) -> RowIndices:
    """Indices of the k largest values of each row, in no order, shape `(n, k)`."""
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(-values, k - 1, axis=1)[:, :k]
