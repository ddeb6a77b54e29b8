"""The nearest of a coreset of training rows, in one space or another."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from monitor.reference.scorers.base import (
    AnyFloats,
    Arrays,
    Features,
    Floats,
    Floats32,
    Places,
    Scorer,
    Training,
    unit_rows,
)
from monitor.reference.scorers.coreset import spread_out, stratified
from monitor.reference.scorers.space import DIRECTIONS, Space, within_class

# Of 50,000 rows every 12th: the first neighbour among these is about as near as the 12th among all, so k = 1 here is
# what k = 10 is there, at a tenth of the cost. Wide embeddings get fewer rows, as numbers are what costs time.
CORESET_ROWS = 6_144
CORESET_NUMBERS = 589_824
# The coreset is chosen from so many.
POOL_ROWS = 20_000
_BLOCK = 16
_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Neighbours(Scorer):
    """The distance to the nearest row of a coreset.

    `coreset` `(r, q)` are its rows in the coordinates of `space` and `off` `(r,)` their squared distances from it.
    `rows` are the places of the coreset among the training rows, for showing the nearest training examples, and
    `classes` their labels (−1 where none are known), for asking whether neighbours agree with a prediction.
    """

    name: ClassVar[str]
    on_sphere: ClassVar[bool]

    space: Space
    coreset: Floats32
    off: Floats32
    rows: Places
    classes: Places

    @classmethod
    def applies(cls, training: Training) -> bool:
        return True

    @classmethod
    def fit(cls, training: Training, rng: np.random.Generator) -> "Neighbours":
        n, d = training.features.embeddings.shape
        pool = stratified(training.classes, n, POOL_ROWS, rng)
        points = cls._points(Features(training.features.embeddings[pool], None))
        space = cls._space(training, points)
        coordinates, off = space.coordinates(points)
        classes = None if training.classes is None else training.classes[pool]
        most = min(CORESET_ROWS, CORESET_NUMBERS // min(d, DIRECTIONS))
        chosen = spread_out(coordinates, off, stratified(classes, pool.size, most // 2, rng), most)
        known = np.full(chosen.size, -1) if classes is None else classes[chosen]
        rows = training.rows[pool[chosen]]
        return cls(space, coordinates[chosen], off[chosen], rows.astype(np.int64), known.astype(np.int64))

    @classmethod
    def _points(cls, features: Features) -> AnyFloats:
        return features.unit if cls.on_sphere else features.embeddings

    @classmethod
    def _space(cls, training: Training, rows: AnyFloats) -> Space:
        return Space.spanned_by(rows.astype(np.float64), centred=not cls.on_sphere)

    def score(self, features: Features) -> Floats:
        return self.nearest(features, 1)[1][:, 0].astype(np.float64)

    def nearest(self, features: Features, k: int) -> tuple[Places, Floats32]:
        """Places `(n, k)` in the coreset, nearest first, and their distances `(n, k)`; fewer where it is smaller."""
        k = min(k, self.coreset.shape[0])
        coordinates, off = self.space.coordinates(self._points(features))
        places = np.empty((len(off), k), np.int64)
        distances = np.empty((len(off), k), np.float32)
        for start in range(0, len(off), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            places[part], closest = self._closest(coordinates[part], k)
            own = np.einsum("ij,ij->i", coordinates[part], coordinates[part]) + off[part]
            distances[part] = np.sqrt(np.maximum(own[:, None] - 2 * closest, 0.0))
        return places, distances

    def _closest(self, coordinates: Floats32, k: int) -> tuple[Places, Floats32]:
        """The coreset rows with the largest x·y − ‖y‖²/2, which are the nearest."""
        closeness = np.concatenate([coordinates, np.ones((len(coordinates), 1), np.float32)], axis=1) @ self._index
        if k == 1:
            places = closeness.argmax(axis=1)[:, None]
            return places, np.take_along_axis(closeness, places, axis=1)
        n, width = closeness.shape
        # The k largest lie in the k blocks with the largest maxima: exact, and far cheaper than sorting whole rows.
        # A block is every so-many-th row, so that its maximum is taken over whole stretches of memory.
        blocks = closeness.reshape(n, _BLOCK, width // _BLOCK)
        chosen = _largest(blocks.max(axis=1), k)
        among = np.take_along_axis(blocks, chosen[:, None, :], axis=2).reshape(n, -1)
        within = _largest(among, k)
        closest = np.take_along_axis(among, within, axis=1)
        order = np.argsort(-closest, axis=1, kind="stable")
        within = np.take_along_axis(within, order, axis=1)
        column = np.take_along_axis(chosen, within % chosen.shape[1], axis=1)
        places = within // chosen.shape[1] * (width // _BLOCK) + column
        return places, np.take_along_axis(closest, order, axis=1)

    @cached_property
    def _index(self) -> Floats32:
        """The coreset's columns, with −‖y‖²/2 below them; columns that fill the last block lie infinitely far."""
        missing = -self.coreset.shape[0] % _BLOCK
        squares = np.einsum("ij,ij->i", self.coreset, self.coreset) + self.off
        index = np.zeros((self.coreset.shape[1] + 1, self.coreset.shape[0] + missing), np.float32)
        index[:-1, : len(squares)] = self.coreset.T
        index[-1] = np.r_[-squares / 2, np.full(missing, -np.finfo(np.float32).max)]
        return index

    def arrays(self) -> Arrays:
        own: Arrays = {"coreset": self.coreset, "off": self.off, "rows": self.rows, "classes": self.classes}
        return own | {f"space/{name}": value for name, value in self.space.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Neighbours":
        space = {name.removeprefix("space/"): value for name, value in arrays.items() if name.startswith("space/")}
        coreset, off = (arrays[name].astype(np.float32) for name in ("coreset", "off"))
        rows, classes = (arrays[name].astype(np.int64) for name in ("rows", "classes"))
        return cls(Space.from_arrays(space), coreset, off, rows, classes)


@dataclass(frozen=True)
class NearestNeighbours(Neighbours):
    """‖z − z₍₁₎‖ on the unit sphere, z = x/‖x‖ (Sun et al. 2022): what the learner looks at, whatever its strength."""

    name: ClassVar[str] = "knn"
    on_sphere: ClassVar[bool] = True

    @classmethod
    def of(cls, embeddings: AnyFloats) -> "NearestNeighbours":
        """An index of all of these embeddings."""
        rows = unit_rows(embeddings)
        space = Space.spanned_by(rows.astype(np.float64), centred=False)
        coreset, off = space.coordinates(rows)
        return cls(space, coreset, off, np.arange(len(rows)), np.full(len(rows), -1))


@dataclass(frozen=True)
class RawNeighbours(Neighbours):
    """‖x − x₍₁₎‖ as the learner sees it, strength included (Ramaswamy, Rastogi & Shim 2000): tables and standardised
    embeddings, where the sphere throws away what is strange."""

    name: ClassVar[str] = "knn_raw"
    on_sphere: ClassVar[bool] = False


@dataclass(frozen=True)
class WhitenedNeighbours(Neighbours):
    """The distance to the nearest row where classes are round: (x − y)ᵀ Σ⁻¹ (x − y), with one Σ within all classes, as
    Mahalanobis distance has it (Lee et al. 2018), but to single rows and not to class means, so that classes may have
    any shape."""

    name: ClassVar[str] = "knn_whitened"
    on_sphere: ClassVar[bool] = False

    @classmethod
    def _space(cls, training: Training, rows: AnyFloats) -> Space:
        return Space.whitened(*within_class(training.features, training.classes))


def _largest(values: Floats32, k: int) -> Places:
    if k >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(-values, k - 1, axis=1)[:, :k]
