"""Adds answered predictions up, off the path of the answer."""

import logging
import threading
from collections.abc import Iterator
from uuid import UUID

import numpy as np

from monitor.history.aggregate import Part, Place, aggregate, features_sha256
from monitor.history.slices import Slices
from monitor.periodic import PeriodicTask
from monitor.reference.profile import Reference
from monitor.reference.rows import Rows
from monitor.reference.scores import Scores
from store.clock import new_id
from store.errors import StoreUnavailable
from store.recording.batches import PredictionBatch
from store.rollups.rollups import Rollup, RollupKey
from store.store import Store

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 5.0
# Predictions that wait to be added up; past this, as when the database is away, what comes is left to `mending`.
MOST_WAITING = 50_000
# Many small batches cost many times what a large one does, and a very large one holds up the answers meanwhile.
_ROWS_AT_ONCE = 512


class HistoryWriter:
    """Rollups of one model's predictions. The record holds every row: what is lost here is added up again later."""

    def __init__(self, store: Store, model_sha256: str, reference: Reference | None) -> None:
        self._store, self._model_sha256, self._reference = store, model_sha256, reference
        self._slices = Slices()
        self._waiting: list[Part] = []
        self._rows_waiting = 0
        # What may still grow, each with the name it is written under: one that is opened again gets another name, as
        # what was written under the first may be rolled up by then.
        self._open: dict[Place, tuple[UUID, Rollup]] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._repeating = PeriodicTask("adding predictions up", SECONDS_BETWEEN_WRITES, self.write)

    def start(self) -> None:
        """Begin to write."""
        self._repeating.start()

    def add(self, batch: PredictionBatch, scores: Scores | None) -> None:
        """Take note of a batch that is recorded; costs next to nothing."""
        part = _part(batch, self._reference, scores)
        with self._lock:
            if self._rows_waiting <= MOST_WAITING:
                self._waiting.append(part)
                self._rows_waiting += len(part)

    def stop(self) -> None:
        """Write what waits, and end."""
        self._repeating.stop()
        self.write()
        # Sketches that outlive the interpreter make their library complain at its end.
        self._open.clear()

    def write(self) -> None:
        """Write what waits; by itself every few seconds."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        changed: set[Place] = set()
        for part in _joined(waiting):
            for place, rollup in aggregate(self._reference, part, self._slices).items():
                name, before = self._open.get(place, (new_id(), Rollup()))
                self._open[place] = name, before + rollup if before.count else rollup
                changed.add(place)
        if not changed:
            return
        sha256 = features_sha256(self._reference)
        rollups = [
            (RollupKey(self._model_sha256, *place, sha256, self._open[place][0]), self._open[place][1])
            for place in sorted(changed)
        ]
        try:
            with self._store.writing() as transaction:
                self._store.rollups.save(transaction, rollups)
        except StoreUnavailable as error:
            logger.warning("what predictions add up to is not written: %s", error)
        # Only the latest stretches can still grow; what was not written now is added up from the record.
        latest = {
            seconds: max(start for width, start, _ in self._open if width == seconds) for seconds, _, _ in changed
        }
        self._open = {place: kept for place, kept in self._open.items() if place[1] >= latest.get(place[0], place[1])}


def _joined(waiting: list[Part]) -> Iterator[Part]:
    """Batches in the order they came, put together up to a size."""
    together: list[Part] = []
    for part in waiting:
        together.append(part)
        if sum(map(len, together)) >= _ROWS_AT_ONCE:
            yield Part.joined(together)
            together = []
    if together:
        yield Part.joined(together)


def _part(batch: PredictionBatch, reference: Reference | None, scores: Scores | None) -> Part:
    rows = None
    if reference is not None and scores is not None:
        rows = Rows.of(batch.embeddings, batch.logits if reference.uses_logits else None, None, scores.parts)
    return Part(
        at=batch.at,
        tags=batch.tags,
        flagged=np.array([-1 if flag is None else flag for flag in batch.flagged], np.int8),
        scores=np.array([np.nan if score is None else score for score in batch.ood_scores]),
        confidences=np.array([np.nan if one is None else one for one in batch.confidences]),
        rows=rows,
    )
