"""History that is exact in the end: hours whose rollups hold another number of predictions than the record are added up
again from it.

Rollups are written beside the answers, so that a gateway that is killed takes its last seconds of them along, and what
comes from a spool, from elsewhere or a second time is not in them or in them twice. Tallies are written with the
predictions, in the same transaction, and say which hours are meant.
"""

import logging
import sys
from datetime import datetime, timedelta

import numpy as np

from monitor.baselines.baseline import load_comparison
from monitor.history.aggregate import Part, Place, aggregate, features_sha256
from monitor.history.slices import Slices
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from store.database.time_buckets import HOUR_SECONDS, ROLLED_UP_WRITER, bucket_start
from store.repositories.jobs import Fence
from store.repositories.models import ModelRecord
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store

logger = logging.getLogger(__name__)

# Gateways write what they hold every few seconds; an hour is looked at once that is over.
_SETTLED = timedelta(minutes=2)
_LOOKED_BACK = timedelta(days=59)
# So many predictions are read at one look, or one hour of more.
_ROWS_AT_ONCE = 200_000
_HOUR, _MINUTE = timedelta(seconds=HOUR_SECONDS), timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


def mend(store: Store, model: ModelRecord, now: datetime, fence: Fence) -> int:
    """Add hours of one model up again where it is needed, and say how many; the latest first, and only so many at once.

    Raises:
        StoreUnavailable: the database does not answer.
        LeaseLost: another monitor has taken over.
    """
    since, until = bucket_start(now - _LOOKED_BACK, HOUR_SECONDS), bucket_start(now - _SETTLED, HOUR_SECONDS)
    forgotten = store.models.embeddings_forgotten_until(model.sha256)
    if forgotten is not None:
        since = max(since, bucket_start(forgotten, HOUR_SECONDS) + _HOUR)
    recorded, known = (counts(model.sha256, since, until) for counts in (store.counters.counts, store.rollups.counts))
    wrong = sorted((hour for hour in {*recorded, *known} if recorded.get(hour) != known.get(hour)), reverse=True)
    if not wrong:
        return 0
    reference = None if model.reference_sha256 is None else load_comparison(store, model).reference
    slices, rows, mended = Slices(), 0, 0
    for hour in wrong:
        held = store.predictions.count_between(model.sha256, hour - _INSTANT, hour + _HOUR - _INSTANT)
        if held == known.get(hour, 0) or held < recorded.get(hour, 0):
            # Some were never tallied; or forgotten since, and what is known of them is better than nothing.
            continue
        rollups = _added_up(store, model.sha256, reference, hour, slices)
        with store.writing() as transaction:
            fence(transaction)
            store.rollups.replace(transaction, model.sha256, hour, rollups)
        logger.info("%s: the hour from %s was added up again from the record", model.name, hour)
        mended, rows = mended + 1, rows + held
        if rows >= _ROWS_AT_ONCE:
            break
    return mended


def _added_up(
    store: Store, model_sha256: str, reference: Reference | None, hour: datetime, slices: Slices
) -> list[tuple[RollupKey, Rollup]]:
    whole: dict[Place, Rollup] = {}
    for place in range(60):
        # By the minute, so that no hour is too full to be held.
        start = hour + place * _MINUTE
        part = _recorded(store, model_sha256, reference, start - _INSTANT, start + _MINUTE - _INSTANT)
        if part is None:
            continue
        for key, rollup in aggregate(reference, part, slices).items():
            whole[key] = whole[key] + rollup if key in whole else rollup
    sha256 = features_sha256(reference)
    return [(RollupKey(model_sha256, *key, sha256, ROLLED_UP_WRITER), rollup) for key, rollup in whole.items()]


def _recorded(
    store: Store, model_sha256: str, reference: Reference | None, since: datetime, until: datetime
) -> Part | None:
    found = store.predictions.window(model_sha256, since, until, max_rows=sys.maxsize, rng=np.random.default_rng(0))
    if not found.ids:
        return None
    rows: Rows | None = None
    if reference is not None:
        rows = reference.rows(found.embeddings, found.logits if reference.uses_logits else None)
    scored = ~np.isnan(found.p_values)
    return Part(
        at=found.at,
        tags=found.tags,
        flagged=np.where(scored, found.flagged, -1).astype(np.int8),
        scores=found.scores,
        confidences=found.confidences,
        rows=rows,
    )
