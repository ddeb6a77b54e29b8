"""Features of one row whose means tell two samples apart. Their sums over minutes and gateways can be added.

The map is fixed by the rows of the reference and a seed: the same for every window, gateway and minute.
"""

import hashlib
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from scipy.spatial.distance import pdist

from monitor.reference.profile import Reference
from monitor.reference.rows import Floats, Floats32, Rows
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
NUMBERS = 16
NUMBER_BINS = 24
_MEDIAN_ROWS = 500
_SEED = 20_261_123
DRAWS_OF_SUMS = 999


class BlockStatistic(Enum):
    """How the gap between two means, over the columns of a block, becomes one statistic."""

    SUM_OF_SQUARES = "sum of squares"
    LARGEST = "largest"
    LARGEST_UPWARD = "largest upward"


@dataclass(frozen=True)
class FeatureBlock:
    """Columns that make one statistic together.

    Attributes:
        name: the statistic's name, such as "mmd 1" or "ks confidence".
        columns: of the features.
        statistic: how the gap over these columns becomes one number.
        weights: of the columns in the statistic, shape `(columns,)`.
    """

    name: str
    columns: slice
    statistic: BlockStatistic
    weights: Floats32


NUMBER_BLOCKS = ("ks numbers", "mean numbers")

# The values of a block's columns `(n, columns)`, with its name and statistic.
_BlockValues = tuple[str, BlockStatistic, Floats32]

_FEATURES: "WeakKeyDictionary[Reference, RowFeatures]" = WeakKeyDictionary()


def features_of(reference: Reference) -> "RowFeatures":
    """The map from rows to features that a reference fixes; made once for each reference."""
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
        held_out = reference.feature_map_rows or reference.held_out
        z = unit_rows(held_out.embeddings)
        sample = z if len(z) <= _MEDIAN_ROWS else z[rng.choice(len(z), _MEDIAN_ROWS, replace=False)]
        median = float(np.median(pdist(sample))) if len(sample) > 1 else 1.0
        d = z.shape[1]
        scales = np.repeat(np.array(BANDWIDTHS), FOURIER_FEATURES) * (median or 1.0)
        self._frequencies = (rng.normal(size=(d, scales.size)) / scales).astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, scales.size).astype(np.float32)
        whitened = reference.scorers[WhitenedNeighbours.name]
        assert isinstance(whitened, WhitenedNeighbours)
        self._whitened = whitened.space
        probabilities = held_out.probabilities
        if probabilities is not None:
            mean = probabilities.mean(axis=0)
            self._classes = np.argsort(-mean, kind="stable")[:CLASSES]
            self._probability_classes = self._classes[:PROBABILITY_CLASSES]
            quantiles = np.linspace(0, 1, PROBABILITY_BINS + 2)[1:-1]
            self._probability_edges = np.quantile(probabilities[:, self._probability_classes], quantiles, axis=0).T
            assert held_out.confidences is not None
            edges = np.linspace(0, 1, CONFIDENCE_BINS + 2)[1:-1]
            self._confidence_edges = np.quantile(held_out.confidences, edges)
        self._numbers = _NumberMap.of(held_out) if self._compared_rows.numbers is not None else None
        self._score_edges = np.r_[np.quantile(held_out.scores, SCORE_QUANTILES), reference.threshold]

    @cached_property
    def blocks(self) -> tuple[FeatureBlock, ...]:
        """The blocks of columns, with weights from the spread of the held-out rows."""
        blocks, start = [], 0
        for name, statistic, values in self._block_values(self._compared_rows):
            spread = values.var(axis=0, dtype=np.float64)
            width = values.shape[1]
            # Where m held-out rows don't vary, one window row in m that does would not be surprising.
            floor = (
                max(1.0 / len(values), 1e-6)
                if statistic is not BlockStatistic.SUM_OF_SQUARES or name == "classes"
                else 1e-9
            )
            weights = np.ones(width) if name.startswith("mmd") else 1 / np.maximum(spread, floor)
            weights = weights if statistic is BlockStatistic.SUM_OF_SQUARES else np.sqrt(weights)
            if name.startswith("ks"):
                # Plain distances, as Kolmogorov and Smirnov have them: the middle counts as much as the tails.
                weights = np.ones(width)
            blocks.append(FeatureBlock(name, slice(start, start + width), statistic, weights.astype(np.float32)))
            start += width
        return tuple(blocks)

    @cached_property
    def sha256(self) -> str:
        """The map's identity: sums of features can only be added where they were made by one map."""
        # The word marks that sums of squares are kept too; hashes without it are of older sums, which lack them.
        digest = hashlib.sha256(
            b"squares" + self._frequencies.tobytes() + self._phases.tobytes() + self._score_edges.tobytes()
        )
        if self._numbers is not None:
            digest.update(self._numbers.edges.tobytes())
        for array in (self._whitened.basis, self._whitened.scales, self._whitened.centre):
            digest.update(array.tobytes())
        return digest.hexdigest()

    @cached_property
    def normal_draws(self) -> Floats32:
        """Normal draws with the covariance of the held-out rows' features, `(999, f)`: their variation by chance alone."""
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
        centred: Floats32 = self._uncentred(self._compared_rows) - self.centre
        return centred

    @cached_property
    def centre(self) -> Floats32:
        """The mean of the held-out rows' features `(f,)`."""
        mean: Floats32 = self._uncentred(self._compared_rows).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def rows(self, rows: Rows) -> Floats32:
        """The features of any rows, `(n, f)`, about the mean of the held-out ones."""
        centred: Floats32 = self._uncentred(rows) - self.centre
        # A row that is not finite counts in the statistics of OOD scores only.
        ignored = np.ones(self.width, np.bool_)
        for block in self.blocks:
            ignored[block.columns] = not block.name.endswith(("score", "tail", "parts"))
        centred[np.ix_(~rows.finite, ignored)] = 0
        if rows.numbers is not None:
            unknown = np.isnan(rows.numbers).any(axis=1)
            for block in self.blocks:
                if block.name in NUMBER_BLOCKS:
                    centred[unknown, block.columns] = 0
        return centred

    def _uncentred(self, rows: Rows) -> Floats32:
        features: Floats32 = np.concatenate([values for _, _, values in self._block_values(rows)], axis=1)
        return features

    def _block_values(self, rows: Rows) -> list[_BlockValues]:
        embeddings = np.where(rows.finite[:, None], rows.embeddings, np.float32(0))
        return [
            *self._fourier_blocks(embeddings),
            self._whitened_block(embeddings),
            *self._probability_blocks(rows),
            *([] if self._numbers is None else self._numbers.blocks(rows)),
            *self._score_blocks(rows),
        ]

    def _fourier_blocks(self, embeddings: Floats32) -> list[_BlockValues]:
        """Random Fourier features (Rahimi & Recht 2007), a block for each bandwidth: their gap is the MMD."""
        fourier = unit_rows(embeddings) @ self._frequencies
        fourier += self._phases
        np.cos(fourier, out=fourier)
        fourier *= np.float32(np.sqrt(2 / FOURIER_FEATURES))
        return [
            (
                f"mmd {bandwidth:g}",
                BlockStatistic.SUM_OF_SQUARES,
                fourier[:, index * FOURIER_FEATURES :][:, :FOURIER_FEATURES],
            )
            for index, bandwidth in enumerate(BANDWIDTHS)
        ]

    def _whitened_block(self, embeddings: Floats32) -> _BlockValues:
        # One row far away must not drown the others.
        whitened = np.clip(self._whitened.coordinates(embeddings)[0], -LARGEST_DEVIATION, LARGEST_DEVIATION)
        return "whitened mean", BlockStatistic.SUM_OF_SQUARES, whitened

    def _probability_blocks(self, rows: Rows) -> list[_BlockValues]:
        if rows.probabilities is None or rows.class_indices is None or rows.confidences is None:
            return []
        predicted = (rows.class_indices[:, None] == self._classes).astype(np.float32)
        probabilities = rows.probabilities[:, self._probability_classes]
        above = (probabilities[:, :, None] >= self._probability_edges).reshape(len(rows), -1)
        return [
            ("classes", BlockStatistic.SUM_OF_SQUARES, predicted),
            ("mean softmax", BlockStatistic.SUM_OF_SQUARES, rows.probabilities[:, self._classes]),
            ("ks softmax", BlockStatistic.LARGEST, above.astype(np.float32)),
            ("ks confidence", BlockStatistic.LARGEST, _above(rows.confidences, self._confidence_edges)),
        ]

    def _score_blocks(self, rows: Rows) -> list[_BlockValues]:
        above = _above(rows.scores, self._score_edges)
        body = SCORE_QUANTILES.size - 6
        capped = [
            np.minimum(part, LARGEST_PART) for part in (*(rows.parts[name] for name in self._scorer_names), rows.scores)
        ]
        return [
            ("ks score", BlockStatistic.LARGEST, above[:, :body]),
            ("score tail", BlockStatistic.LARGEST_UPWARD, above[:, body:]),
            ("score parts", BlockStatistic.LARGEST_UPWARD, np.stack(capped, axis=1).astype(np.float32)),
        ]


@dataclass(frozen=True)
class _NumberMap:
    """The features of predicted numbers: which of the reference's quantiles they reach, and how far they are from usual.

    `edges` `(k, e)`, and `middle` and `spread` `(k,)`, of at most 16 numbers.
    """

    edges: Floats
    middle: Floats
    spread: Floats

    @classmethod
    def of(cls, held_out: Rows) -> "_NumberMap | None":
        if held_out.numbers is None:
            return None
        numbers = np.nan_to_num(held_out.numbers[:, :NUMBERS].astype(np.float64))
        edges = np.quantile(numbers, np.linspace(0, 1, NUMBER_BINS + 2)[1:-1], axis=0).T
        low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75], axis=0)
        # Of numbers of which half are the same, their standard deviation.
        spread = np.where(high > low, high - low, numbers.std(axis=0))
        return cls(edges, middle, np.maximum(spread, 1e-12))

    def blocks(self, rows: Rows) -> list[_BlockValues]:
        assert rows.numbers is not None
        numbers = np.nan_to_num(rows.numbers[:, :NUMBERS].astype(np.float64))
        above = (numbers[:, :, None] >= self.edges).reshape(len(rows), -1)
        # One number far away must not drown the others.
        deviations = np.clip((numbers - self.middle) / self.spread, -LARGEST_DEVIATION, LARGEST_DEVIATION)
        return [
            ("ks numbers", BlockStatistic.LARGEST, above.astype(np.float32)),
            ("mean numbers", BlockStatistic.SUM_OF_SQUARES, deviations.astype(np.float32)),
        ]


def _above(values: Floats, edges: Floats) -> Floats32:
    """1 where a value of `(n,)` is at or above an edge of `(e,)`, else 0, shape `(n, e)`."""
    above: Floats32 = (values[:, None] >= edges).astype(np.float32)
    return above
