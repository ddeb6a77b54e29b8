"""Ingest of one model that is served elsewhere: its predictions are scored against its reference and recorded.

An ingested prediction gets an id made from its time, its model and the id that it has there. So the same prediction sent
again is recorded once, and one of last week is stored among those of last week.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from monitor.history.writer import HistoryWriter
from monitor.ingest.ingest_batch import IngestBatch
from monitor.reference.profile import Reference
from monitor.reference.scores import Scores
from store.clock import new_id
from store.errors import BadInput, NotFound
from store.recording.prediction_batch import PredictionBatch
from store.repositories.models import ModelRecord
from store.store import Store


def find_model(store: Store, name_or_hash: str) -> ModelRecord:
    """Find the model with this name or hash, the latest registered where several have the name.

    Raises:
        NotFound: there is none.
    """
    models = [model for model in store.models.all() if name_or_hash in (model.name, model.sha256)]
    if not models:
        raise NotFound(
            f"No model {name_or_hash!r} is known here. `tidegate register {name_or_hash} --reference FILE` makes it known."
        )
    return models[0]


class ModelIngest:
    """Scores and records predictions of one model.

    Args:
        store: the record, opened for recording.
        model: its name or hash.
        make_history_writer: makes what adds the predictions to the rollups at once; by default the monitor does it, once
            their hour is over.

    Raises:
        NotFound: no model of this name is known, or it has no reference.
    """

    def __init__(
        self, store: Store, model: str, make_history_writer: Callable[[str, Reference], HistoryWriter] | None = None
    ) -> None:
        self._store = store
        self.model = find_model(store, model)
        if self.model.reference_sha256 is None:
            raise NotFound(f"{self.model.name} has no reference to score against: `tidegate register` it with one.")
        self.reference: Reference = Reference.from_bytes(store.models.reference(self.model.reference_sha256))
        self.history = None if make_history_writer is None else make_history_writer(self.model.sha256, self.reference)

    def record(self, sent: IngestBatch) -> list[UUID]:
        """Score and record predictions, and return their ids in the record, in order.

        Raises:
            BadInput: they don't fit the reference, or each other.
            StoreUnavailable: nothing was recorded.
        """
        batch, scores = self._scored_batch(sent)
        if len(batch):
            self._store.recording.record([batch])
            if self.history is not None:
                # Rows that were recorded before are counted twice there, until the monitor reconciles their hour.
                self.history.add(batch, scores)
        return batch.ids

    def _scored_batch(self, sent: IngestBatch) -> tuple[PredictionBatch, Scores]:
        n = len(sent.embeddings)
        for name in ("logits", "predictions", "ids", "at", "tags"):
            column = getattr(sent, name)
            if column is not None and len(column) != n:
                raise BadInput(f"{n:,} embeddings came, and {len(column):,} {name}.", field=name)
        scores = self.reference.score(sent.embeddings, sent.logits)
        self._check_numbers(sent, scores)
        logits = np.zeros((n, 0), np.float32) if sent.logits is None else np.asarray(sent.logits, np.float32)
        class_indices, confidences = _classify(logits, self.model)
        now = self._store.database.utc_now()
        at = [now] * n if sent.at is None else [_in_utc(instant, index) for index, instant in enumerate(sent.at)]
        empty_column: list[Any] = [None] * n
        batch = PredictionBatch(
            model_sha256=self.model.sha256,
            ids=[new_id() for _ in range(n)]
            if sent.ids is None
            else [derive_id(self.model.sha256, id_, instant) for id_, instant in zip(sent.ids, at, strict=True)],
            at=at,
            predictions=list(sent.predictions) if sent.predictions is not None else self._class_names(class_indices),
            class_indices=class_indices,
            confidences=confidences,
            ood_scores=[value if np.isfinite(value) else None for value in scores.score.tolist()],
            ood_p_values=scores.p_value.tolist(),
            flagged=scores.flagged.tolist(),
            latencies_seconds=[0.0] * n,
            tags=empty_column if sent.tags is None else list(sent.tags),
            mirrors=empty_column,
            embeddings=np.asarray(sent.embeddings),
            logits=logits,
            raw_inputs=empty_column,
            repeatable=True,
        )
        return batch, scores

    def _check_numbers(self, sent: IngestBatch, scores: Scores) -> None:
        """Rows of one model with and without numbers could not be compared later."""
        numbers = self.reference.held_out.numbers
        if numbers is not None and sent.logits is None:
            raise BadInput(
                f"The reference compares predicted numbers, {numbers.shape[1]} a row, and none came. Send them as `logits`.",
                field="logits",
            )
        self.reference.scored_rows(np.asarray(sent.embeddings), sent.logits, None, scores.parts)

    def _class_names(self, class_indices: list[int | None]) -> list[str]:
        names = self.model.classes
        if any(index is None for index in class_indices):
            raise BadInput("Without logits each row needs its prediction.", field="predictions")
        return [names[index] if index < len(names) else str(index) for index in class_indices if index is not None]


def register_external_model(store: Store, name: str, reference: Reference, content: bytes) -> ModelRecord:
    """Register a model that is served elsewhere. Its hash is that of its name and of `content`, the reference's file."""
    classes = [] if reference.origin is None else reference.origin.classes
    return store.models.register(
        sha256=hashlib.sha256(b"elsewhere\0" + name.encode() + b"\0" + content).hexdigest(),
        name=name,
        application="elsewhere",
        task="single_label" if reference.uses_logits else "regression",
        classes=classes or reference.class_names,
        reference=content,
    )


def derive_id(model_sha256: str, external_id: str, at: datetime) -> UUID:
    """Make the id of an ingested prediction: a UUIDv7 of its time whose random part is a hash of its model and the id that
    the other service gave it."""
    digest = int.from_bytes(hashlib.sha256(f"{model_sha256}\0{external_id}".encode()).digest()[:10])
    value = int(at.timestamp() * 1_000) << 80 | digest
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _in_utc(instant: datetime, row_index: int) -> datetime:
    if instant.tzinfo is None:
        raise BadInput("An instant needs its time zone, such as +00:00.", field=f"predictions[{row_index}].at")
    return instant.astimezone(UTC)


def _classify(logits: npt.NDArray[np.floating], model: ModelRecord) -> tuple[list[int | None], list[float | None]]:
    """The class index and confidence of each row; None where the model predicts no single class."""
    n, width = logits.shape
    if width == 0 or model.task != "single_label":
        return [None] * n, [None] * n
    probabilities = softmax(logits, axis=1)
    class_indices: list[int | None] = logits.argmax(axis=1).tolist()
    confidences: list[float | None] = probabilities.max(axis=1).astype(np.float64).tolist()
    return class_indices, confidences
