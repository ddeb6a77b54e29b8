"""Numbers of one row whose means tell two samples apart. They add up, so that sums of minutes and gateways do too.

The map is fixed by the rows of the reference and a seed: the same for every window, gateway and minute.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist

from monitor.reference.profile import Reference
from monitor.reference.rows import Floats32, Rows
from monitor.reference.scorers.base import unit_rows
from monitor.reference.scorers.neighbours import WhitenedNeighbours

BANDWIDTHS = (0.5, 1.0, 2.0)
FOURIER_FEATURES = 128
LARGEST_DEVIATION = 8.0
CLASSES = 100
PROBABILITY_CLASSES = 16
PROBABILITY_BINS = 8
CONFIDENCE_BINS = 24
SCORE_QUANTILES = np.r_[np.linspace(0.03, 0.9, 30), 0.93, 0.95, 0.97, 0.98, 0.99, 0.995]
# Past this a row is strange beyond doubt, and one of them must not drown the others.
LARGEST_PART = 15.0
_MEDIAN_ROWS = 500
_SEED = 20_261_123
DRAWS_OF_SUMS = 999


class Kind(Enum):
    """How the gap between two means over a block becomes one statistic."""

    SQUARES = "sum of squares"
    LARGEST = "largest"
    UPWARD = "largest upward"


@dataclass(frozen=True)
class Block:
    """Columns that belong together, and their weights `(columns,)` in the statistic."""

    name: str
    columns: slice
    kind: Kind
    weights: Floats32


_FEATURES: "WeakKeyDictionary[Reference, RowFeatures]" = WeakKeyDictionary()


def features_of(reference: Reference) -> "RowFeatures":
    """The map that a reference fixes; made once for each."""
    features = _FEATURES.get(reference)
    if features is None:
        features = _FEATURES[reference] = RowFeatures(reference)
    return features


class RowFeatures:
    """The map from rows to features, fixed by a reference."""

    def __init__(self, reference: Reference) -> None:
        # Not the reference itself, which keeps this map (`features_of`).
        self._compared_rows = reference.held_out
        self._scorer_names = tuple(reference.scorers)
        rng = np.random.default_rng(_SEED)
        held_out = reference.mapped_by or reference.held_out
        z = unit_rows(held_out.embeddings)
        few = z if len(z) <= _MEDIAN_ROWS else z[rng.choice(len(z), _MEDIAN_ROWS, replace=False)]
        median = float(np.median(pdist(few))) if len(few) > 1 else 1.0
        d = z.shape[1]
        scales = np.repeat(np.array(BANDWIDTHS), FOURIER_FEATURES) * (median or 1.0)
        self._frequencies = (rng.normal(size=(d, scales.size)) / scales).astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, scales.size).astype(np.float32)
        whitened = reference.scorers[WhitenedNeighbours.name]
        assert isinstance(whitened, WhitenedNeighbours)
        self._white = whitened.space
        probabilities = held_out.probabilities
        if probabilities is not None:
            mean = probabilities.mean(axis=0)
            self._classes = np.argsort(-mean, kind="stable")[:CLASSES]
            self._watched = self._classes[:PROBABILITY_CLASSES]
            quantiles = np.linspace(0, 1, PROBABILITY_BINS + 2)[1:-1]
            self._probability_edges = np.quantile(probabilities[:, self._watched], quantiles, axis=0).T
            assert held_out.confidences is not None
            edges = np.linspace(0, 1, CONFIDENCE_BINS + 2)[1:-1]
            self._confidence_edges = np.quantile(held_out.confidences, edges)
        self._score_edges = np.r_[np.quantile(held_out.scores, SCORE_QUANTILES), reference.threshold]

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Where each block lies, with weights from the spread of the held-out rows."""
        found, start = [], 0
        for name, kind, values in self._parts(self._compared_rows):
            spread = values.var(axis=0, dtype=np.float64)
            width = values.shape[1]
            # Where held-out rows don't vary, one row in as many as there are would not be surprising.
            floor = max(1.0 / len(values), 1e-6) if kind is not Kind.SQUARES or name == "classes" else 1e-9
            weights = np.ones(width) if name.startswith("mmd") else 1 / np.maximum(spread, floor)
            weights = weights if kind is Kind.SQUARES else np.sqrt(weights)
            if name.startswith("ks"):
                # Plain distances, as Kolmogorov and Smirnov have them: the middle counts as much as the tails.
                weights = np.ones(width)
            found.append(Block(name, slice(start, start + width), kind, weights.astype(np.float32)))
            start += width
        return tuple(found)

    @cached_property
    def sha256(self) -> str:
        """What the map is known by: sums of two maps can't be added."""
        # Their squares are added up too, which they were not under the name without this word.
        digest = hashlib.sha256(
            b"squares" + self._frequencies.tobytes() + self._phases.tobytes() + self._score_edges.tobytes()
        )
        for part in (self._white.basis, self._white.scales, self._white.centre):
            digest.update(part.tobytes())
        return digest.hexdigest()

    @cached_property
    def normal_draws(self) -> Floats32:
        """Normal draws with the covariance of the held-out rows' features, `(999, f)`: what chance alone would do."""
        m = len(self.held_out)
        rng = np.random.default_rng(_SEED + 1)
        # A random combination of the rows has their covariance, and costs no square root of a matrix.
        draws: Floats32 = rng.standard_normal((DRAWS_OF_SUMS, m), dtype=np.float32) @ self.held_out
        return draws / np.float32(np.sqrt(m))

    @property
    def width(self) -> int:
        """How many features a row has."""
        return int(self.blocks[-1].columns.stop)

    @cached_property
    def held_out(self) -> Floats32:
        """The features of the held-out rows, `(m, f)`, about their own mean."""
        centred: Floats32 = self._raw(self._compared_rows) - self.centre
        return centred

    @cached_property
    def centre(self) -> Floats32:
        """Their mean `(f,)`."""
        mean: Floats32 = self._raw(self._compared_rows).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def rows(self, rows: Rows) -> Floats32:
        """The features of any rows, `(n, f)`, about the mean of the held-out ones."""
        centred: Floats32 = self._raw(rows) - self.centre
        # A row that is not finite says nothing but that it is strange.
        silent = np.ones(self.width, np.bool_)
        for block in self.blocks:
            silent[block.columns] = not block.name.endswith(("score", "tail", "parts"))
        centred[np.ix_(~rows.finite, silent)] = 0
        return centred

    def _raw(self, rows: Rows) -> Floats32:
        raw: Floats32 = np.concatenate([values for _, _, values in self._parts(rows)], axis=1)
        return raw

    def _parts(self, rows: Rows) -> list[tuple[str, Kind, Floats32]]:
        embeddings = np.where(rows.finite[:, None], rows.embeddings, np.float32(0))
        unit = unit_rows(embeddings)
        waves = unit @ self._frequencies
        waves += self._phases
        np.cos(waves, out=waves)
        waves *= np.float32(np.sqrt(2 / FOURIER_FEATURES))
        parts: list[tuple[str, Kind, Floats32]] = [
            (f"mmd {bandwidth:g}", Kind.SQUARES, waves[:, place * FOURIER_FEATURES :][:, :FOURIER_FEATURES])
            for place, bandwidth in enumerate(BANDWIDTHS)
        ]
        # One row far away must not drown the others.
        white = np.clip(self._white.coordinates(embeddings)[0], -LARGEST_DEVIATION, LARGEST_DEVIATION)
        parts.append(("whitened mean", Kind.SQUARES, white))
        if rows.probabilities is not None and rows.class_indices is not None and rows.confidences is not None:
            predicted = (rows.class_indices[:, None] == self._classes).astype(np.float32)
            watched = rows.probabilities[:, self._watched]
            above = (watched[:, :, None] >= self._probability_edges).reshape(len(rows), -1)
            parts += [
                ("classes", Kind.SQUARES, predicted),
                ("mean softmax", Kind.SQUARES, rows.probabilities[:, self._classes]),
                ("ks softmax", Kind.LARGEST, above.astype(np.float32)),
                ("ks confidence", Kind.LARGEST, _above(rows.confidences, self._confidence_edges)),
            ]
        scores = _above(rows.scores, self._score_edges)
        body = SCORE_QUANTILES.size - 6
        capped = [
            np.minimum(part, LARGEST_PART) for part in (*(rows.parts[name] for name in self._scorer_names), rows.scores)
        ]
        parts += [
            ("ks score", Kind.LARGEST, scores[:, :body]),
            ("score tail", Kind.UPWARD, scores[:, body:]),
            ("score parts", Kind.UPWARD, np.stack(capped, axis=1).astype(np.float32)),
        ]
        return parts


def _above(values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]) -> Floats32:
    above: Floats32 = (values[:, None] >= edges).astype(np.float32)
    return above
