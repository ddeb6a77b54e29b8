"""Writes micro-batches to the record before anyone is answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from monitor.reference.scores import Scores
from serving.learner.outputs import Outputs, Prediction
from store.clock import new_id
from store.recording.batches import PredictionBatch, RawInput
from store.store import Store


@dataclass(frozen=True, slots=True)
class Arrived:
    """An input on its way: what was sent, the caller's tags, when it came (`time.perf_counter`), and which prediction of
    another version it repeats. `id` is given where the caller may send it again."""

    raw: RawInput
    tags: dict[str, Any] | None
    arrived: float
    mirrors: UUID | None = None
    id: UUID | None = None


class Recorder:
    """Records predictions of one model."""

    def __init__(self, store: Store, model_sha256: str, *, keep_inputs: bool) -> None:
        self._store = store
        self._model_sha256 = model_sha256
        self._keep_inputs = keep_inputs

    def batch(self, arrivals: Sequence[Arrived], outputs: Outputs, scores: Scores | None) -> PredictionBatch:
        """What is to be recorded of one forward pass."""
        n = len(arrivals)
        now = time.perf_counter()
        nothing: list[Any] = [None] * n
        return PredictionBatch(
            model_sha256=self._model_sha256,
            ids=[arrival.id or new_id() for arrival in arrivals],
            at=[self._store.database.utc_now()] * n,
            predictions=[text_of(prediction) for prediction in outputs.predictions],
            class_indices=nothing if outputs.class_indices is None else outputs.class_indices.tolist(),
            confidences=nothing if outputs.confidences is None else outputs.confidences.tolist(),
            # A row that is not finite has an infinite score, which JSON and some databases can't hold; its flag says it.
            ood_scores=nothing if scores is None else [s if abs(s) != np.inf else None for s in scores.score.tolist()],
            ood_p_values=nothing if scores is None else scores.p_value.tolist(),
            flagged=nothing if scores is None else scores.flagged.tolist(),
            latencies_seconds=[now - arrival.arrived for arrival in arrivals],
            tags=[arrival.tags for arrival in arrivals],
            mirrors=[arrival.mirrors for arrival in arrivals],
            embeddings=outputs.embedding,
            logits=outputs.logits,
            raw_inputs=[arrival.raw for arrival in arrivals] if self._keep_inputs else nothing,
            repeatable=any(arrival.id is not None for arrival in arrivals),
        )

    def record(self, batches: Sequence[PredictionBatch]) -> None:
        """Make batches durable, in one commit.

        Raises:
            StoreUnavailable: they are not.
        """
        self._store.recording.record(batches)


def text_of(prediction: Prediction) -> str:
    """A prediction as the record keeps it: a class as it is, numbers and lists as JSON."""
    return prediction if isinstance(prediction, str) else orjson.dumps(prediction).decode()
