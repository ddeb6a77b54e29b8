"""Adds answered predictions up by the minute, off the path of the answer."""

import logging
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import numpy as np
import numpy.typing as npt

from monitor.reference import Reference, Scores
from monitor.rows import Rows
from monitor.shift.sums import WindowSums
from store import Store
from store.clock import new_id
from store.errors import StoreUnavailable
from store.minutes import MinuteRecord

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 5.0
# Rows that wait to be added up; past this, as when the database is away, the oldest are dropped and counted.
MOST_WAITING = 50_000
# Many small batches cost many times what a large one does, and a very large one holds up the answers meanwhile.
_ROWS_AT_ONCE = 512


class Minutes:
    """Sums of one model's predictions by the minute. The record holds every row: what is lost here can be added up again."""

    def __init__(self, store: Store, model_sha256: str, reference: Reference) -> None:
        self._store = store
        self._model_sha256 = model_sha256
        self._reference = reference
        self._writer: UUID = new_id()
        self._waiting: list[tuple[datetime, Rows]] = []
        self._rows_waiting = 0
        self.dropped = 0
        self._open: dict[datetime, WindowSums] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._write_now_and_then, name="minutes", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(
        self,
        at: datetime,
        embeddings: npt.NDArray[np.floating],
        logits: npt.NDArray[np.floating] | None,
        scores: Scores,
    ) -> None:
        """Take note of a batch; costs next to nothing."""
        rows = Rows.of(embeddings, logits if self._reference.uses_logits else None, None, scores.parts)
        with self._lock:
            if self._rows_waiting > MOST_WAITING:
                self.dropped += len(rows)
                return
            self._waiting.append((at.replace(second=0, microsecond=0), rows))
            self._rows_waiting += len(rows)

    def stop(self) -> None:
        """Write what waits, and end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._write()

    def _write_now_and_then(self) -> None:
        while not self._stopped.wait(SECONDS_BETWEEN_WRITES):
            self._write()

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        for minute, rows in _joined(waiting):
            sums = WindowSums.of(self._reference, rows)
            self._open[minute] = self._open[minute] + sums if minute in self._open else sums
        if not waiting:
            return
        records = [
            MinuteRecord(
                self._model_sha256, minute, self._writer, sums.features_sha256, sums.count, sums.flagged, sums.features
            )
            for minute, sums in self._open.items()
        ]
        try:
            with self._store.writing() as transaction:
                self._store.minutes.put(transaction, records)
        except StoreUnavailable as error:
            logger.warning("sums by the minute wait: %s", error)
            return
        # Only the latest minute can still grow.
        latest = max(self._open)
        self._open = {latest: self._open[latest]}


def _joined(waiting: list[tuple[datetime, Rows]]) -> Iterator[tuple[datetime, Rows]]:
    """Batches in the order they came, those of one minute put together up to a size."""
    for minute, batches in groupby(waiting, key=itemgetter(0)):
        together: list[Rows] = []
        for _, rows in batches:
            together.append(rows)
            if sum(map(len, together)) >= _ROWS_AT_ONCE:
                yield minute, Rows.joined(together)
                together = []
        if together:
            yield minute, Rows.joined(together)
