"""A store as it is after years: many predictions, their counters and rollups, reports, open alerts."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from monitor.history.aggregate import PredictionColumns, aggregate
from monitor.history.slices import Slices
from monitor.reference.profile import Reference
from monitor.shift.row_features import features_of
from store.clock import new_id
from store.database.time_buckets import HOUR_SECONDS, ROLLED_UP_WRITER, bucket_start
from store.recording.prediction_batch import PredictionBatch
from store.repositories.alerts import AlertRecord, AlertState
from store.repositories.runs import RunRecord, Verdict
from store.rollups.rollups import RollupKey
from store.store import Store

DAYS, SITES, REPORTS, ALERTS = 30, 10, 10_000, 1_000
_ROWS_AT_ONCE = 50_000


def fill(store: Store, sha256: str, reference_file: Path, rows: int) -> None:
    """Fill a store in which one model is known. Predictions are drawn from the held-out rows."""
    rng, now = np.random.default_rng(0), datetime.now(UTC)
    start, reference = now - timedelta(days=DAYS), Reference.load(reference_file)
    for first in range(0, rows, _ROWS_AT_ONCE):
        n = min(_ROWS_AT_ONCE, rows - first)
        at = [start + timedelta(days=DAYS * (first + index) / rows) for index in range(n)]
        store.predictions.record_batches([_batch(sha256, at, reference, rng)])
        print(f"  {first + n:,} of {rows:,} predictions", file=sys.stderr, flush=True)
    _rollups(store, sha256, reference, start, now, rng)
    _reports(store, sha256, start, now)


def _batch(sha256: str, at: list[datetime], reference: Reference, rng: np.random.Generator) -> PredictionBatch:
    n, held_out = len(at), reference.held_out
    row_indices = rng.integers(0, len(held_out), n)
    absent: list[Any] = [None] * n
    return PredictionBatch(
        model_sha256=sha256,
        ids=[new_id() for _ in range(n)],
        at=at,
        predictions=["yes"] * n,
        class_indices=[0] * n,
        confidences=rng.uniform(0.5, 1, n).tolist(),
        ood_scores=rng.exponential(size=n).tolist(),
        ood_p_values=rng.uniform(size=n).tolist(),
        flagged=(rng.uniform(size=n) < 0.01).tolist(),
        latencies_seconds=[0.01] * n,
        tags=absent,
        mirrors=absent,
        embeddings=held_out.embeddings[row_indices],
        logits=np.zeros((n, 2), np.float32) if held_out.logits is None else held_out.logits[row_indices],
        raw_inputs=absent,
    )


def _rollups(
    store: Store,
    sha256: str,
    reference: Reference,
    start: datetime,
    now: datetime,
    rng: np.random.Generator,
) -> None:
    """Write rollups as gateways do: of every hour and site, and of the last six hours by the minute too."""
    features = features_of(reference).sha256
    hour, last = bucket_start(start, HOUR_SECONDS), bucket_start(now, HOUR_SECONDS)
    while hour <= last:
        minutes = range(60) if now - hour < timedelta(hours=6) else [None]
        n = 2_000 // len(minutes)
        rollups = []
        for minute in minutes:
            held_out = reference.held_out.take(rng.integers(0, len(reference.held_out), n))
            at = hour if minute is None else hour + timedelta(minutes=minute)
            part = PredictionColumns(
                [at] * n,
                [{"site": f"site {index % SITES}"} for index in range(n)] if minute in (None, 0) else [None] * n,
                (held_out.scores >= reference.threshold).astype(np.int8),
                held_out.scores,
                np.full(n, np.nan) if held_out.confidences is None else held_out.confidences,
                held_out,
            )
            for (seconds, begin, slice_), rollup in aggregate(reference, part, Slices()).items():
                width = HOUR_SECONDS if minute is None else seconds
                rollups.append((RollupKey(sha256, width, begin, slice_, features, ROLLED_UP_WRITER), rollup))
        with store.writing() as session:
            store.rollups.save(session, rollups)
        hour += timedelta(hours=1)


def _reports(store: Store, sha256: str, start: datetime, now: datetime) -> None:
    width = (now - start) / REPORTS
    runs = []
    for index in range(REPORTS):
        since = start + index * width
        run = RunRecord(
            id=new_id(),
            model_sha256=sha256,
            reference_sha256=None,
            at=since + width,
            since=since,
            until=since + width,
            count=1_000,
            flagged=10,
            verdict=Verdict.OK,
            sentence="Nothing has changed.",
            seed="bench",
        )
        runs.append(run)
    for first in range(0, REPORTS, 500):
        with store.writing() as session:
            for run in runs[first : first + 500]:
                store.runs.add(session, run)
    for run in runs:
        # As large as a report is, in bytes that don't compress.
        noise = np.random.default_rng(run.id.int % 2**32).integers(0, 10, 15_000)
        store.reports.save(run.id, run.at, {"noise": "".join(map(str, noise))}, None)
    for index in range(ALERTS // 5):
        model_sha256 = f"{index:064x}"
        store.models.register(
            sha256=model_sha256,
            name=f"model {index}",
            application="tabular",
            task="single_label",
            classes=[],
            reference=None,
        )
        with store.writing() as session:
            for check in ("embedding", "prediction", "ood_score", "ood_rate", "accuracy"):
                fired = AlertRecord(
                    new_id(),
                    model_sha256,
                    check,
                    AlertState.FIRING,
                    now,
                    now,
                    runs[-1].id,
                    "It has shifted, certainly.",
                )
                store.alerts.save(session, fired)
                store.alerts.add_event(session, fired, now)
