"""Batches of predictions by column, as they are recorded, and their encoding as bytes for the spool."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import orjson

from store.clock import EPOCH
from store.errors import DamagedRecord
from store.recording.embedding_codec import encode_embeddings, encode_logits

COLUMNS = (
    "id",
    "model_sha256",
    "at",
    "prediction",
    "class_index",
    "confidence",
    "ood_score",
    "ood_p_value",
    "flagged",
    "latency_seconds",
    "tags",
    "mirrors_id",
    "embedding",
    "logits",
)
INPUT_COLUMNS = ("prediction_id", "at", "media_type", "content")
# The fields of a batch that are lists, one item a row.
_LIST_FIELDS = (
    "ids",
    "at",
    "predictions",
    "class_indices",
    "confidences",
    "ood_scores",
    "ood_p_values",
    "flagged",
    "latencies_seconds",
    "tags",
    "mirrors",
    "raw_inputs",
)
_HEADER = struct.Struct("<I")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class RawInput:
    """What was sent: the bytes of an image as received, or a row as JSON."""

    media_type: str
    content: bytes


@dataclass(frozen=True)
class PredictionRecord:
    """One prediction as it is recorded.

    `embedding` has shape `(d,)`, `logits` `(c,)`. `class_index` and `confidence` are None for learners that predict
    numbers, the three OOD values where the model has no reference. `mirrors_id` is the prediction of another version that
    a shadow repeats.
    """

    id: UUID
    at: datetime
    prediction: str
    class_index: int | None
    confidence: float | None
    ood_score: float | None
    ood_p_value: float | None
    flagged: bool | None
    latency_seconds: float
    tags: dict[str, Any] | None
    embedding: npt.NDArray[np.floating]
    logits: npt.NDArray[np.floating]
    raw_input: RawInput | None = None
    mirrors_id: UUID | None = None


@dataclass(frozen=True)
class PredictionBatch:
    """n predictions of one model, by column, as a forward pass makes them; see `PredictionRecord` for what each is.

    `embeddings` have shape `(n, d)`, `logits` `(n, c)`.
    """

    model_sha256: str
    ids: list[UUID]
    at: list[datetime]
    predictions: list[str]
    class_indices: list[int | None]
    confidences: list[float | None]
    ood_scores: list[float | None]
    ood_p_values: list[float | None]
    flagged: list[bool | None]
    latencies_seconds: list[float]
    tags: list[dict[str, Any] | None]
    mirrors: list[UUID | None]
    embeddings: npt.NDArray[np.floating]
    logits: npt.NDArray[np.floating]
    raw_inputs: list[RawInput | None]
    # Whether some of the ids may be recorded already, as the same request came before.
    repeatable: bool = False

    @classmethod
    def of(cls, model_sha256: str, records: Sequence[PredictionRecord]) -> "PredictionBatch":
        """A batch of single records."""
        return cls(
            model_sha256=model_sha256,
            ids=[record.id for record in records],
            at=[record.at for record in records],
            predictions=[record.prediction for record in records],
            class_indices=[record.class_index for record in records],
            confidences=[record.confidence for record in records],
            ood_scores=[record.ood_score for record in records],
            ood_p_values=[record.ood_p_value for record in records],
            flagged=[record.flagged for record in records],
            latencies_seconds=[record.latency_seconds for record in records],
            tags=[record.tags for record in records],
            mirrors=[record.mirrors_id for record in records],
            embeddings=np.stack([record.embedding for record in records]),
            logits=np.stack([record.logits for record in records]),
            raw_inputs=[record.raw_input for record in records],
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, row_indices: Sequence[int]) -> "PredictionBatch":
        """The rows at these indices, in their order."""
        columns: dict[str, Any] = {name: [getattr(self, name)[index] for index in row_indices] for name in _LIST_FIELDS}
        chosen = np.asarray(row_indices, np.intp)
        return replace(self, **columns, embeddings=self.embeddings[chosen], logits=self.logits[chosen])

    def columns(self) -> list[Iterable[Any]]:
        """The columns of the table `predictions`, in the order of `COLUMNS`."""
        return [
            self.ids,
            repeat(self.model_sha256, len(self)),
            self.at,
            self.predictions,
            self.class_indices,
            self.confidences,
            self.ood_scores,
            self.ood_p_values,
            self.flagged,
            self.latencies_seconds,
            self.tags,
            self.mirrors,
            encode_embeddings(self.embeddings),
            encode_logits(self.logits),
        ]

    def input_columns(self) -> list[Iterable[Any]]:
        """The columns of the table `inputs`, in the order of `INPUT_COLUMNS`; none where no input is to be recorded."""
        rows = [
            (id_, at, raw.media_type, raw.content)
            for id_, at, raw in zip(self.ids, self.at, self.raw_inputs, strict=True)
            if raw is not None
        ]
        return list(zip(*rows, strict=True))

    def to_bytes(self) -> bytes:
        """The batch as bytes: a JSON header behind its length, then embeddings, logits and inputs as they are recorded."""
        embeddings = encode_embeddings(self.embeddings)
        logits = encode_logits(self.logits)
        inputs = [b"" if raw is None else raw.content for raw in self.raw_inputs]
        header = orjson.dumps(
            {
                "model": self.model_sha256,
                "ids": self.ids,
                "at": [(at - EPOCH) // _MICROSECOND for at in self.at],
                "predictions": self.predictions,
                "class_indices": self.class_indices,
                "confidences": self.confidences,
                "ood_scores": self.ood_scores,
                "ood_p_values": self.ood_p_values,
                "flagged": self.flagged,
                "latencies_seconds": self.latencies_seconds,
                "tags": self.tags,
                "mirrors": self.mirrors,
                "media_types": [None if raw is None else raw.media_type for raw in self.raw_inputs],
                "input_bytes": [len(content) for content in inputs],
                "embedding": self.embeddings.shape[1],
                "logits": self.logits.shape[1],
            }
        )
        return b"".join((_HEADER.pack(len(header)), header, *embeddings, *logits, *inputs))

    @classmethod
    def from_bytes(cls, content: bytes) -> "PredictionBatch":
        """Read what `to_bytes` wrote. Its rows may be recorded already.

        Raises:
            DamagedRecord: the bytes are cut short, or are no batch.
        """
        try:
            (length,) = _HEADER.unpack_from(content)
            header = orjson.loads(content[_HEADER.size : _HEADER.size + length])
            position = _HEADER.size + length
            n = len(header["ids"])
            embeddings, position = _read_vectors(content, position, n, header["embedding"], "<f2")
            logits, position = _read_vectors(content, position, n, header["logits"], "<f4")
            raw_inputs: list[RawInput | None] = []
            for media_type, size in zip(header["media_types"], header["input_bytes"], strict=True):
                raw_input = content[position : position + size]
                raw_inputs.append(None if media_type is None else RawInput(media_type, raw_input))
                position += size
            if position != len(content):
                raise ValueError(f"{len(content):,} bytes, and {position:,} are announced")
            return cls(
                model_sha256=header["model"],
                ids=[UUID(text) for text in header["ids"]],
                at=[EPOCH + timedelta(microseconds=value) for value in header["at"]],
                predictions=header["predictions"],
                class_indices=header["class_indices"],
                confidences=header["confidences"],
                ood_scores=header["ood_scores"],
                ood_p_values=header["ood_p_values"],
                flagged=header["flagged"],
                latencies_seconds=header["latencies_seconds"],
                tags=header["tags"],
                mirrors=[None if text is None else UUID(text) for text in header["mirrors"]],
                embeddings=embeddings,
                logits=logits,
                raw_inputs=raw_inputs,
                repeatable=True,
            )
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise DamagedRecord(
                f"A batch of predictions can't be read back: {error}. It is damaged; what can be read goes on."
            ) from error


def _read_vectors(
    content: bytes, position: int, rows: int, length: int, kind: str
) -> tuple[npt.NDArray[np.floating], int]:
    """Vectors `(rows, length)`, each stored behind its length, and the position after them."""
    size = _HEADER.size + length * np.dtype(kind).itemsize
    body = np.frombuffer(content, np.uint8, rows * size, position).reshape(rows, size)
    return np.ascontiguousarray(body[:, _HEADER.size :]).view(kind).reshape(rows, length), position + rows * size
