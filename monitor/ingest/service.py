"""Ingest for every model of one process."""

import threading
from uuid import UUID

from monitor.history.writer import HistoryWriter
from monitor.ingest.ingest_batch import IngestBatch
from monitor.ingest.model_ingest import ModelIngest, find_model
from monitor.reference.profile import Reference
from store.store import Store


class IngestService:
    """Scores and records predictions of any registered model; each reference is loaded once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By hash. Pages ask for a model by its hash, callers by its name.
        self._ingest_by_hash: dict[str, ModelIngest] = {}
        self._lock = threading.Lock()

    def record(self, model: str, batch: IngestBatch) -> list[UUID]:
        """Score and record predictions of one model, by its name or hash, and return their ids in the record, in order.

        Raises:
            TidegateError: see `ModelIngest`.
        """
        return self.for_model(model).record(batch)

    def for_model(self, model: str) -> ModelIngest:
        """The ingest of one model, by its name or hash, with its reference.

        Raises:
            NotFound: no such model is known, or it has no reference.
        """
        with self._lock:
            record = find_model(self._store, model)
            ingest = self._ingest_by_hash.get(record.sha256)
            if ingest is None or ingest.model != record:
                new = ModelIngest(self._store, record.sha256, self._start_history_writer)
                if ingest is not None and ingest.history is not None:
                    ingest.history.stop()
                ingest = self._ingest_by_hash[record.sha256] = new
        return ingest

    def stop(self) -> None:
        """Write the rollups that wait to be written."""
        for ingest in self._ingest_by_hash.values():
            if ingest.history is not None:
                ingest.history.stop()

    def _start_history_writer(self, model_sha256: str, reference: Reference) -> HistoryWriter:
        writer = HistoryWriter(self._store, model_sha256, reference)
        writer.start()
        return writer
