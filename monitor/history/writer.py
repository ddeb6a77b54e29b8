"""Adds answered predictions up to rollups, off the path of the answer."""

import logging
import threading
from collections.abc import Iterator
from uuid import UUID

import numpy as np

from monitor.background_task import PeriodicTask
from monitor.history.aggregate import Bucket, PredictionColumns, aggregate, features_sha256
from monitor.history.slices import Slices
from monitor.reference.profile import Reference
from monitor.reference.scores import Scores
from store.clock import new_id
from store.errors import StoreUnavailable
from store.recording.prediction_batch import PredictionBatch
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 5.0
# Predictions that wait to be added up. Beyond this, as when the database is away, further ones are left to
# `monitor.history.reconcile`.
MOST_WAITING = 50_000
# Adding up many small batches costs many times what one large batch does, and a very large one delays the answers.
_ROWS_AT_ONCE = 512


class HistoryWriter:
    """Writes the rollups of one model's predictions.

    The record holds every prediction: rollups that are lost here are added up again from it later.
    """

    def __init__(self, store: Store, model_sha256: str, reference: Reference | None) -> None:
        self._store, self._model_sha256, self._reference = store, model_sha256, reference
        self._slices = Slices()
        self._waiting: list[PredictionColumns] = []
        self._rows_waiting = 0
        # Buckets that may still grow, each with the name it is written under. A bucket that is opened a second time gets
        # another name, as its first rows may have been rolled up by then.
        self._open: dict[Bucket, tuple[UUID, Rollup]] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._periodic = PeriodicTask("adding predictions up", SECONDS_BETWEEN_WRITES, self.write)

    def start(self) -> None:
        """Begin to write."""
        self._periodic.start()

    def add(self, batch: PredictionBatch, scores: Scores | None) -> None:
        """Take note of a batch that is recorded; costs next to nothing."""
        predictions = _columns(batch, self._reference, scores)
        with self._lock:
            if self._rows_waiting <= MOST_WAITING:
                self._waiting.append(predictions)
                self._rows_waiting += len(predictions)

    def stop(self) -> None:
        """Write what waits, and end."""
        self._periodic.stop()
        self.write()
        # Sketches that outlive the interpreter make their library complain at its end.
        self._open.clear()

    def write(self) -> None:
        """Write what waits; by itself every few seconds."""
        with self._writing:
            changed = self._add_waiting()
            if changed:
                self._write(changed)
                self._close_past(changed)

    def _add_waiting(self) -> set[Bucket]:
        """Add what waits to the open buckets; which of them have changed."""
        with self._lock:
            waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        changed: set[Bucket] = set()
        for predictions in _joined(waiting):
            for bucket, rollup in aggregate(self._reference, predictions, self._slices).items():
                name, written = self._open.get(bucket, (new_id(), Rollup()))
                self._open[bucket] = name, written + rollup if written.count else rollup
                changed.add(bucket)
        return changed

    def _write(self, changed: set[Bucket]) -> None:
        sha256 = features_sha256(self._reference)
        rollups = []
        for bucket in sorted(changed):
            name, rollup = self._open[bucket]
            rollups.append((RollupKey(self._model_sha256, *bucket, sha256, name), rollup))
        try:
            with self._store.writing() as transaction:
                self._store.rollups.save(transaction, rollups)
        except StoreUnavailable as error:
            logger.warning("what predictions add up to is not written: %s", error)

    def _close_past(self, changed: set[Bucket]) -> None:
        """Keep the latest buckets of each width open: only they can grow.

        What could not be written of the others is added up again from the record.
        """
        latest = {
            seconds: max(bucket.start for bucket in self._open if bucket.seconds == seconds)
            for seconds in {bucket.seconds for bucket in changed}
        }
        self._open = {
            bucket: named_rollup
            for bucket, named_rollup in self._open.items()
            if bucket.start >= latest.get(bucket.seconds, bucket.start)
        }


def _joined(waiting: list[PredictionColumns]) -> Iterator[PredictionColumns]:
    """Batches in the order they came, joined until they are large enough."""
    batches: list[PredictionColumns] = []
    for predictions in waiting:
        batches.append(predictions)
        if sum(map(len, batches)) >= _ROWS_AT_ONCE:
            yield PredictionColumns.joined(batches)
            batches = []
    if batches:
        yield PredictionColumns.joined(batches)


def _columns(batch: PredictionBatch, reference: Reference | None, scores: Scores | None) -> PredictionColumns:
    rows = None
    if reference is not None and scores is not None:
        rows = reference.scored_rows(batch.embeddings, batch.logits, None, scores.parts)
    return PredictionColumns(
        at=batch.at,
        tags=batch.tags,
        flagged=np.array([-1 if flag is None else flag for flag in batch.flagged], np.int8),
        scores=np.array([np.nan if score is None else score for score in batch.ood_scores]),
        confidences=np.array([np.nan if value is None else value for value in batch.confidences]),
        rows=rows,
    )
