"""Predictions added up by stretch of time and slice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
# Of so many seconds, from when, which slice.
Place = tuple[int, datetime, str]


@dataclass(frozen=True)
class Part:
    """n predictions, by column. `flagged` `(n,)` is 1, 0, or -1 where nothing was scored; `scores` and `confidences`
    `(n,)` are NaN where there are none. `rows` is None without a reference."""

    at: Sequence[datetime]
    tags: Sequence[Mapping[str, Any] | None]
    flagged: npt.NDArray[np.int8]
    scores: Floats
    confidences: Floats
    rows: Rows | None

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def joined(cls, several: Sequence["Part"]) -> "Part":
        """Several after each other."""
        if len(several) == 1:
            return several[0]
        rows = [part.rows for part in several if part.rows is not None]
        return cls(
            [at for part in several for at in part.at],
            [tags for part in several for tags in part.tags],
            np.concatenate([part.flagged for part in several]),
            np.concatenate([part.scores for part in several]),
            np.concatenate([part.confidences for part in several]),
            Rows.joined(rows) if rows else None,
        )


def features_sha256(reference: Reference | None) -> str:
    """The name of the map by which features are added up; nothing without a reference."""
    return "" if reference is None else features_of(reference).sha256


def aggregate(reference: Reference | None, part: Part, slices: Slices) -> dict[Place, Rollup]:
    """What predictions add up to: all of them by the minute, and each slice by the hour."""
    features = None if reference is None or part.rows is None else addends(reference, part.rows)
    return {place: _of(part, features, np.asarray(where, np.intp)) for place, where in _places(part, slices).items()}


def _places(part: Part, slices: Slices) -> dict[Place, list[int]]:
    found: dict[Place, list[int]] = defaultdict(list)
    # Rows of one micro-batch share their instant.
    starts = {at: (bucket_start(at, MINUTE_SECONDS), bucket_start(at, HOUR_SECONDS)) for at in set(part.at)}
    for row, (at, tags) in enumerate(zip(part.at, part.tags, strict=True)):
        minute, hour = starts[at]
        found[MINUTE_SECONDS, minute, ALL].append(row)
        if tags:
            for one in slices.of(tags):
                found[HOUR_SECONDS, hour, one].append(row)
    return found


def _of(part: Part, features: Floats | None, where: npt.NDArray[np.intp]) -> Rollup:
    flagged, confidences = part.flagged[where], part.confidences[where]
    known = np.isfinite(confidences)
    return Rollup(
        count=len(where),
        scored=int((flagged >= 0).sum()),
        flagged=int((flagged == 1).sum()),
        confident=int(known.sum()),
        confidence_sum=float(confidences[known].sum()),
        scores=QuantileSketch.of(part.scores[where]),
        confidences=QuantileSketch.of(confidences),
        features=np.zeros(0) if features is None else features[where].sum(axis=0),
    )
