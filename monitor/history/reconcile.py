"""Hours whose rollups differ from the record are added up again from the recorded predictions.

Rollups are written beside the answers. A gateway that is killed loses those of its last seconds; predictions from a
spool or from elsewhere are not in them, and predictions that come a second time are in them twice. Counters are written
in the transaction of the predictions themselves, so that comparing the two finds the hours that are wrong.
"""

import logging
import sys
from datetime import datetime, timedelta

import numpy as np

from monitor.baselines.baseline import load_comparison
from monitor.history.aggregate import Bucket, PredictionColumns, aggregate, features_sha256
from monitor.history.slices import Slices
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from store.database.time_buckets import HOUR_SECONDS, ROLLED_UP_WRITER, bucket_start
from store.repositories.jobs import Fence
from store.repositories.models import ModelRecord
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store

logger = logging.getLogger(__name__)

# Gateways write their rollups every few seconds; an hour is compared once it is over and they are written.
_SETTLED = timedelta(minutes=2)
_OLDEST = timedelta(days=59)
# One call stops after this many predictions, or after one hour that holds more.
_ROWS_AT_ONCE = 200_000
_HOUR, _MINUTE = timedelta(seconds=HOUR_SECONDS), timedelta(minutes=1)
# Windows of predictions begin after their first instant and include their last; hours and minutes do the opposite.
_INSTANT = timedelta(microseconds=1)


def reconcile_history(store: Store, model: ModelRecord, now: datetime, fence: Fence) -> int:
    """Replace the rollups of hours of one model that differ from the record, the latest first.

    Returns:
        How many hours were replaced. A limited number of predictions is read; further hours are left to the next call.

    Raises:
        StoreUnavailable: the database does not answer.
        LeaseLost: another monitor has taken over.
    """
    since, until = bucket_start(now - _OLDEST, HOUR_SECONDS), bucket_start(now - _SETTLED, HOUR_SECONDS)
    forgotten_until = store.models.embeddings_forgotten_until(model.sha256)
    if forgotten_until is not None:
        since = max(since, bucket_start(forgotten_until, HOUR_SECONDS) + _HOUR)
    counted = store.counters.counts(model.sha256, since, until)
    rolled_up = store.rollups.counts(model.sha256, since, until)
    hours = sorted((hour for hour in {*counted, *rolled_up} if counted.get(hour) != rolled_up.get(hour)), reverse=True)
    if not hours:
        return 0
    reference = None if model.reference_sha256 is None else load_comparison(store, model).reference
    slices, rows_read, replaced = Slices(), 0, 0
    for hour in hours:
        recorded = store.predictions.count_between(model.sha256, hour - _INSTANT, hour + _HOUR - _INSTANT)
        if recorded == rolled_up.get(hour, 0) or recorded < counted.get(hour, 0):
            # Some were never counted, or some are forgotten since: then the rollups as they are say more than the rows.
            continue
        rollups = _aggregate_hour(store, model.sha256, reference, hour, slices)
        with store.writing() as transaction:
            fence(transaction)
            store.rollups.replace(transaction, model.sha256, hour, rollups)
        logger.info("%s: the hour from %s was added up again from the record", model.name, hour)
        replaced, rows_read = replaced + 1, rows_read + recorded
        if rows_read >= _ROWS_AT_ONCE:
            break
    return replaced


def _aggregate_hour(
    store: Store, model_sha256: str, reference: Reference | None, hour: datetime, slices: Slices
) -> list[tuple[RollupKey, Rollup]]:
    """The rollups of the predictions recorded in one hour."""
    rollups: dict[Bucket, Rollup] = {}
    for minute in range(60):
        # Minute by minute, so that the rows of a busy hour need not fit into memory together.
        start = hour + minute * _MINUTE
        predictions = _read_predictions(store, model_sha256, reference, start - _INSTANT, start + _MINUTE - _INSTANT)
        if predictions is None:
            continue
        for bucket, rollup in aggregate(reference, predictions, slices).items():
            rollups[bucket] = rollups[bucket] + rollup if bucket in rollups else rollup
    sha256 = features_sha256(reference)
    return [(RollupKey(model_sha256, *bucket, sha256, ROLLED_UP_WRITER), rollup) for bucket, rollup in rollups.items()]


def _read_predictions(
    store: Store, model_sha256: str, reference: Reference | None, since: datetime, until: datetime
) -> PredictionColumns | None:
    window = store.predictions.window(model_sha256, since, until, max_rows=sys.maxsize, rng=np.random.default_rng(0))
    if not window.ids:
        return None
    rows: Rows | None = None
    if reference is not None:
        rows = reference.rows(window.embeddings, window.logits)
    scored = ~np.isnan(window.p_values)
    return PredictionColumns(
        at=window.at,
        tags=window.tags,
        flagged=np.where(scored, window.flagged, -1).astype(np.int8),
        scores=window.scores,
        confidences=window.confidences,
        rows=rows,
    )
