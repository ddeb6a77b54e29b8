"""Predictions of a model that is served elsewhere: scored against its reference, recorded like any other.

An ingested prediction gets an id made from its time, its model and the id it has there, so that the same one sent again
is recorded once, and one of last week lies among those of last week.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import orjson
from scipy.special import softmax

from monitor.history.writer import HistoryWriter
from monitor.reference import Reference, Scores
from monitor.reference_file import decode
from store import Store
from store.batches import PredictionBatch
from store.clock import new_id
from store.errors import BadInput, NotFound
from store.models import ModelRecord


@dataclass(frozen=True)
class Given:
    """n predictions as they were sent, by column.

    `embeddings` `(n, d)`; `logits` `(n, c)` where the reference was made with them. `ids` are those of the other service,
    `at` when it predicted, both by default fresh; `predictions` by default what the logits say.
    """

    embeddings: npt.NDArray[np.floating]
    logits: npt.NDArray[np.floating] | None = None
    predictions: Sequence[str] | None = None
    ids: Sequence[str] | None = None
    at: Sequence[datetime] | None = None
    tags: Sequence[dict[str, Any] | None] | None = None


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


class Ingest:
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
        self.reference: Reference = decode(store.models.reference(self.model.reference_sha256))
        self.history = None if history is None else history(self.model.sha256, self.reference)

    def take(self, given: Given) -> list[UUID]:
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

    def _batch(self, given: Given) -> tuple[PredictionBatch, Scores]:
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


def given_of_rows(rows: Sequence[Any]) -> Given:
    """Predictions sent as JSON objects.

    Raises:
        BadInput: a row is no object, lacks its embedding, or holds something else than it should; the field is named.
    """
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or "embedding" not in row:
            raise BadInput("Each prediction is an object with its embedding.", field=f"predictions[{place}].embedding")
    return Given(
        embeddings=_vectors(rows, "embedding"),
        logits=_vectors(rows, "logits") if rows and "logits" in rows[0] else None,
        predictions=_column(rows, "prediction", _text),
        ids=_column(rows, "id", _text),
        at=_column(rows, "at", _instant),
        tags=_column(rows, "tags", _tags),
    )


def given_of_arrow(table: Any) -> Given:
    """Predictions as an Arrow table with the same columns: `embedding` and `logits` as lists of numbers.

    Raises:
        BadInput: a column is missing or of another type.
    """
    names = set(table.column_names)
    if "embedding" not in names:
        raise BadInput("The table has no column embedding.", field="embedding")
    rows: dict[str, list[Any]] = {
        name: table.column(name).to_pylist() for name in names & {"prediction", "id", "at", "tags"}
    }
    return Given(
        embeddings=_matrix(table, "embedding"),
        logits=_matrix(table, "logits") if "logits" in names else None,
        predictions=None if "prediction" not in rows else [_text(value, "prediction") for value in rows["prediction"]],
        ids=None if "id" not in rows else [_text(value, "id") for value in rows["id"]],
        at=None if "at" not in rows else [_instant(value, "at") for value in rows["at"]],
        tags=None if "tags" not in rows else [_tags(value, "tags") for value in rows["tags"]],
    )


def _matrix(table: Any, name: str) -> npt.NDArray[np.floating]:
    try:
        column = table.column(name).combine_chunks()
        values = np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float32)
        if column.null_count or len(column) == 0 or values.size % len(column):
            raise ValueError("the lists differ in length")
        lengths = np.asarray(column.value_lengths())
        if (lengths != lengths[0]).any():
            raise ValueError("the lists differ in length")
        return values.reshape(len(column), -1)
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"The column {name} must hold lists of numbers of one length: {error}.", field=name) from error


def _vectors(rows: Sequence[dict[str, Any]], name: str) -> npt.NDArray[np.floating]:
    try:
        values = np.asarray([row.get(name) for row in rows], np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name) from error
    if rows and values.ndim != 2:
        raise BadInput(f"{name} must be a list of numbers, of one length in every row.", field=name)
    return values


def _column(rows: Sequence[dict[str, Any]], name: str, read: Any) -> list[Any] | None:
    if not any(name in row for row in rows):
        return None
    return [read(row.get(name), f"predictions[{place}].{name}") for place, row in enumerate(rows)]


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 1_000:
        raise BadInput(f"{field} must be a text of 1 to 1,000 characters.", field=field)
    return value


def _tags(value: Any, field: str) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadInput(f"{field} must be an object.", field=field) from error
    if value is not None and not isinstance(value, dict):
        raise BadInput(f"{field} must be an object.", field=field)
    return value


def _instant(value: Any, field: str) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{field} must be an instant such as 2026-11-24T08:00:00+00:00, and {value!r} came.", field=field
        ) from error


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
