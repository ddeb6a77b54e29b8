"""Predictions added up by time bucket and slice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.history.slices import Slices
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from monitor.shift.row_features import features_of
from monitor.shift.window_sums import addends
from store.database.time_buckets import HOUR_SECONDS, MINUTE_SECONDS, bucket_start
from store.rollups.quantile_sketch import QuantileSketch
from store.rollups.rollups import ALL, Rollup

Floats = npt.NDArray[np.float64]
RowIndices = npt.NDArray[np.intp]


class Bucket(NamedTuple):
    """The predictions of one slice in `seconds` seconds from `start` on."""

    seconds: int
    start: datetime
    slice: str


@dataclass(frozen=True)
class PredictionColumns:
    """The columns of n predictions that are added up.

    `flagged` `(n,)` is 1, 0, or -1 where nothing was scored; `scores` and `confidences` `(n,)` are NaN where there are
    none. `rows` is None without a reference.
    """

    at: Sequence[datetime]
    tags: Sequence[Mapping[str, Any] | None]
    flagged: npt.NDArray[np.int8]
    scores: Floats
    confidences: Floats
    rows: Rows | None

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def joined(cls, parts: Sequence["PredictionColumns"]) -> "PredictionColumns":
        """Several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        rows = [part.rows for part in parts if part.rows is not None]
        return cls(
            at=[at for part in parts for at in part.at],
            tags=[tags for part in parts for tags in part.tags],
            flagged=np.concatenate([part.flagged for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            confidences=np.concatenate([part.confidences for part in parts]),
            rows=Rows.joined(rows) if rows else None,
        )


def features_sha256(reference: Reference | None) -> str:
    """The hash of the map from rows to the features that are summed; empty without a reference."""
    return "" if reference is None else features_of(reference).sha256


def aggregate(reference: Reference | None, predictions: PredictionColumns, slices: Slices) -> dict[Bucket, Rollup]:
    """Add predictions up: all of them by the minute, and each slice by the hour."""
    features = None if reference is None or predictions.rows is None else addends(reference, predictions.rows)
    return {
        bucket: _rollup(predictions, features, np.asarray(row_indices, np.intp))
        for bucket, row_indices in _rows_by_bucket(predictions, slices).items()
    }


def _rows_by_bucket(predictions: PredictionColumns, slices: Slices) -> dict[Bucket, list[int]]:
    row_indices: dict[Bucket, list[int]] = defaultdict(list)
    # Rows of one micro-batch share their instant.
    starts = {
        at: (Bucket(MINUTE_SECONDS, bucket_start(at, MINUTE_SECONDS), ALL), bucket_start(at, HOUR_SECONDS))
        for at in set(predictions.at)
    }
    for row_index, (at, tags) in enumerate(zip(predictions.at, predictions.tags, strict=True)):
        minute, hour = starts[at]
        row_indices[minute].append(row_index)
        if tags:
            for name in slices.names_of(tags):
                row_indices[Bucket(HOUR_SECONDS, hour, name)].append(row_index)
    return row_indices


def _rollup(predictions: PredictionColumns, features: Floats | None, row_indices: RowIndices) -> Rollup:
    flagged, confidences = predictions.flagged[row_indices], predictions.confidences[row_indices]
    finite = np.isfinite(confidences)
    return Rollup(
        count=len(row_indices),
        scored=int((flagged >= 0).sum()),
        flagged=int((flagged == 1).sum()),
        confident=int(finite.sum()),
        confidence_sum=float(confidences[finite].sum()),
        scores=QuantileSketch.of(predictions.scores[row_indices]),
        confidences=QuantileSketch.of(confidences),
        features=np.zeros(0) if features is None else features[row_indices].sum(axis=0),
    )
