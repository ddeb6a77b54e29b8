"""Predictions of a model that is served elsewhere: scored against its reference, recorded like any other.

An ingested prediction gets an id made from its time, its model and the id it has there, so that the same one sent again
is recorded once, and one of last week lies among those of last week.
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
from monitor.ingest.batch import IngestBatch
from monitor.reference.profile import Reference
from monitor.reference.scores import Scores
from store.clock import new_id
from store.errors import BadInput, NotFound
from store.recording.batches import PredictionBatch
from store.repositories.models import ModelRecord
from store.store import Store


def model_named(store: Store, model: str) -> ModelRecord:
    """The model with this name or hash, the latest registered where several have the name.

    Raises:
        NotFound: there is none.
    """
    known = [one for one in store.models.all() if one.name == model or one.sha256 == model]
    if not known:
        raise NotFound(
            f"No model {model!r} is known here. `tidegate register {model} --reference FILE` makes it known."
        )
    return known[0]


class ModelIngest:
    """Takes predictions of one model.

    Args:
        store: the record.
        model: its name or hash.
        history: makes what adds them up beside; by default the monitor does, once their hour is over.

    Raises:
        NotFound: no model of this name is known, or it has no reference.
    """

    def __init__(
        self, store: Store, model: str, history: Callable[[str, Reference], HistoryWriter] | None = None
    ) -> None:
        self._store = store
        self.model = model_named(store, model)
        if self.model.reference_sha256 is None:
            raise NotFound(f"{self.model.name} has no reference to score against: `tidegate register` it with one.")
        self.reference: Reference = Reference.from_bytes(store.models.reference(self.model.reference_sha256))
        self.history = None if history is None else history(self.model.sha256, self.reference)

    def take(self, given: IngestBatch) -> list[UUID]:
        """Score and record predictions, and give their ids here, in order.

        Raises:
            BadInput: they don't fit the reference, or each other.
            StoreUnavailable: nothing was recorded.
        """
        batch, scores = self._batch(given)
        if len(batch):
            self._store.recording.record([batch])
            if self.history is not None:
                # Those that came before are in it twice now, until their hour is mended.
                self.history.add(batch, scores)
        return batch.ids

    def _batch(self, given: IngestBatch) -> tuple[PredictionBatch, Scores]:
        n = len(given.embeddings)
        for name in ("logits", "predictions", "ids", "at", "tags"):
            column = getattr(given, name)
            if column is not None and len(column) != n:
                raise BadInput(f"{n:,} embeddings came, and {len(column):,} {name}.", field=name)
        scores = self.reference.score(given.embeddings, given.logits)
        logits = np.zeros((n, 0), np.float32) if given.logits is None else np.asarray(given.logits, np.float32)
        places, confidences = _read(logits, self.model)
        now = self._store.database.utc_now()
        at = [now] * n if given.at is None else [_utc(instant, place) for place, instant in enumerate(given.at)]
        nothing: list[Any] = [None] * n
        batch = PredictionBatch(
            model_sha256=self.model.sha256,
            ids=[new_id() for _ in range(n)]
            if given.ids is None
            else [id_of(self.model.sha256, id_, instant) for id_, instant in zip(given.ids, at, strict=True)],
            at=at,
            predictions=list(given.predictions) if given.predictions is not None else self._predictions(places),
            class_indices=places,
            confidences=confidences,
            ood_scores=[value if np.isfinite(value) else None for value in scores.score.tolist()],
            ood_p_values=scores.p_value.tolist(),
            flagged=scores.flagged.tolist(),
            latencies_seconds=[0.0] * n,
            tags=nothing if given.tags is None else list(given.tags),
            mirrors=nothing,
            embeddings=np.asarray(given.embeddings),
            logits=logits,
            raw_inputs=nothing,
            repeatable=True,
        )
        return batch, scores

    def _predictions(self, places: list[int | None]) -> list[str]:
        names = self.model.classes
        if any(place is None for place in places):
            raise BadInput("Without logits each row needs its prediction.", field="predictions")
        return [names[place] if place < len(names) else str(place) for place in places if place is not None]


def register_elsewhere(store: Store, name: str, reference: Reference, content: bytes) -> ModelRecord:
    """Make a model known that is served elsewhere. Its hash is that of its name and reference."""
    classes = [] if reference.origin is None else reference.origin.classes
    return store.models.register(
        sha256=hashlib.sha256(b"elsewhere\0" + name.encode() + b"\0" + content).hexdigest(),
        name=name,
        application="elsewhere",
        task="single_label" if reference.uses_logits else "regression",
        classes=classes or reference.class_names,
        reference=content,
    )


def id_of(model_sha256: str, id_: str, at: datetime) -> UUID:
    """The id here of a prediction from elsewhere: a UUIDv7 of its time whose random part is a hash of where it is from."""
    digest = int.from_bytes(hashlib.sha256(f"{model_sha256}\0{id_}".encode()).digest()[:10])
    value = int(at.timestamp() * 1_000) << 80 | digest
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def _utc(instant: datetime, place: int) -> datetime:
    if instant.tzinfo is None:
        raise BadInput("An instant needs its time zone, such as +00:00.", field=f"predictions[{place}].at")
    return instant.astimezone(UTC)


def _read(logits: npt.NDArray[np.floating], model: ModelRecord) -> tuple[list[int | None], list[float | None]]:
    n, width = logits.shape
    if width == 0 or model.task != "single_label":
        return [None] * n, [None] * n
    probabilities = softmax(logits, axis=1)
    places: list[int | None] = logits.argmax(axis=1).tolist()
    confidences: list[float | None] = probabilities.max(axis=1).astype(np.float64).tolist()
    return places, confidences
