"""Ingest for every model of one process."""

import threading
from uuid import UUID

from monitor.history.writer import HistoryWriter
from monitor.ingest.batch import IngestBatch
from monitor.ingest.model_ingest import ModelIngest, model_named
from monitor.reference.profile import Reference
from store.store import Store


class IngestService:
    """Takes predictions of any model that is known; references are loaded once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By hash: pages ask for one by that, and callers by its name.
        self._known: dict[str, ModelIngest] = {}
        self._lock = threading.Lock()

    def take(self, model: str, batch: IngestBatch) -> list[UUID]:
        """Score and record predictions of one model, and give their ids here, in order.

        Raises:
            TidegateError: see `ModelIngest`.
        """
        return self.of(model).take(batch)

    def of(self, model: str) -> ModelIngest:
        """What takes predictions of one model, with its reference.

        Raises:
            NotFound: no such model is known, or it has no reference.
        """
        with self._lock:
            record = model_named(self._store, model)
            ingest = self._known.get(record.sha256)
            if ingest is None or ingest.model != record:
                fresh = ModelIngest(self._store, record.sha256, self._history)
                if ingest is not None and ingest.history is not None:
                    ingest.history.stop()
                ingest = self._known[record.sha256] = fresh
        return ingest

    def stop(self) -> None:
        """Write what waits to be added up."""
        for ingest in self._known.values():
            if ingest.history is not None:
                ingest.history.stop()

    def _history(self, model_sha256: str, reference: Reference) -> HistoryWriter:
        writer = HistoryWriter(self._store, model_sha256, reference)
        writer.start()
        return writer
