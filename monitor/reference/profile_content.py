"""The fields of a reference: fitted scorers, held-out rows, and what is kept beside them for people and gateways."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from monitor.reference.fusion import TailLog
from monitor.reference.rows import Rows
from monitor.reference.scorers import Features, Scorer
from monitor.reference.scorers.neighbours import NearestNeighbours

Floats = npt.NDArray[np.float64]

LARGEST_RECORDED = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Origin:
    """Where a reference comes from.

    `learner_sha256` is the hash of the exported file, None when it was made from a learner in memory that had not been
    exported; `weights_sha256` is the hash of its weights. `embedding_layer` is the layer whose input the embeddings are,
    `made_with` tells the Python and the libraries that exported the file, None where they are not known, and `loaded_with`
    those that made the reference. All three are None in references made before they were kept.
    """

    learner_sha256: str | None
    weights_sha256: str
    name: str
    application: str
    task: str
    classes: list[str]
    created_at: str
    tidegate_version: str
    calibration_source: str
    accuracy: float | None
    embedding_layer: str | None = None
    made_with: dict[str, str] | None = None
    loaded_with: dict[str, str] | None = None


@dataclass(frozen=True)
class ThinClass:
    """A class with so few held-out rows that windows can't be compared with them.

    `index` is its place among the classes, `held_out_rows` how many there were, and `training_share` its share of the
    training rows.
    """

    index: int
    held_out_rows: int
    training_share: float


@dataclass(frozen=True)
class Examples:
    """Training inputs to show beside strange ones.

    `embeddings` `(k, d)`, k `captions`, and what they were: small `pictures`, or the `contents` of rows and texts; empty
    where there are none.
    """

    embeddings: npt.NDArray[np.float32]
    captions: list[str]
    pictures: list[bytes]
    contents: list[dict[str, Any]] = field(default_factory=list)

    def nearest(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """The index of the example nearest to each row, shape `(n,)`, by distance on the unit sphere."""
        index = NearestNeighbours.of(self.embeddings)
        finite = np.nan_to_num(embeddings, posinf=LARGEST_RECORDED, neginf=-LARGEST_RECORDED)
        example_indices, _ = index.nearest(Features(finite, None), 1)
        return example_indices[:, 0]


@dataclass(frozen=True)
class ParitySample:
    """An input kept with the result of each step of inference, so that a gateway can prove that it computes the same."""

    media_type: str
    content: bytes
    steps: dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False, repr=False)
class ReferenceContent:
    """The fields of a reference, as its file keeps them.

    Attributes:
        scorers: the fitted scorers by name.
        tails: for each scorer the map from its value to u = −log p.
        calibration_scores: fused scores of held-out rows, ascending, shape `(m,)`.
        held_out: the rows that windows are compared with: held-out ones of training, or, in `Reference.against`, those of an
            accepted window of production.
        alpha: share of in-domain inputs that may be flagged.
        training_rows: how many rows the scorers were fitted on.
        held_out_rows: how many held-out rows there were; fewer may be kept.
        warnings: weaknesses of the training and held-out rows, in sentences.
        compared_with: `held_out` in words.
        certificate: what was measured of the reference when it was made (`monitor.baselines.certificate`).
        feature_map_rows: the held-out rows of training, which fix the map from rows to features, where `held_out` are others.
        categories: the values that the learner knows of its columns of categories, by column.
        number_names: what the predicted numbers are called, of a learner that predicts numbers.
        thin_classes: classes with too few held-out rows to compare with: rows of theirs are scored, and not compared.
    """

    scorers: Mapping[str, Scorer]
    tails: Mapping[str, TailLog]
    calibration_scores: Floats
    held_out: Rows
    alpha: float
    training_rows: int
    held_out_rows: int
    warnings: tuple[str, ...] = ()
    origin: Origin | None = None
    examples: Examples | None = None
    parity_samples: tuple[ParitySample, ...] = ()
    columns: list[dict[str, Any]] = field(default_factory=list)
    compared_with: str = "held-out training data"
    certificate: dict[str, Any] | None = None
    feature_map_rows: Rows | None = None
    categories: dict[str, list[Any]] = field(default_factory=dict)
    number_names: tuple[str, ...] = ()
    thin_classes: tuple[ThinClass, ...] = ()
