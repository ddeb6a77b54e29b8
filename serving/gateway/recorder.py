"""Writes micro-batches to the record before anyone is answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import numpy as np
import orjson

from monitor.reference.scores import Scores
from serving.learner.outputs import Outputs, Prediction
from serving.learner.tasks import SingleLabel, Task
from store.clock import new_id
from store.recording.prediction_batch import PredictionBatch, RawInput
from store.store import Store


@dataclass(frozen=True, slots=True)
class ArrivedInput:
    """An input that was accepted: what was sent, the caller's tags, when it came (`time.perf_counter`), and which
    prediction of another version it repeats. `id` is set where the caller may send it again."""

    raw: RawInput
    tags: dict[str, Any] | None
    arrived_at: float
    mirrors: UUID | None = None
    id: UUID | None = None


class Recorder:
    """Records predictions of one model."""

    def __init__(self, store: Store, model_sha256: str, *, keep_inputs: bool) -> None:
        self._store = store
        self._model_sha256 = model_sha256
        self._keep_inputs = keep_inputs

    def batch(self, arrived: Sequence[ArrivedInput], outputs: Outputs, scores: Scores | None) -> PredictionBatch:
        """What is to be recorded of one forward pass, in the order of its inputs."""
        n = len(arrived)
        computed_at = time.perf_counter()
        missing: list[Any] = [None] * n
        return PredictionBatch(
            model_sha256=self._model_sha256,
            ids=[entry.id or new_id() for entry in arrived],
            at=[self._store.database.utc_now()] * n,
            predictions=[text_of(prediction) for prediction in outputs.predictions],
            class_indices=missing if outputs.class_indices is None else outputs.class_indices.tolist(),
            confidences=missing if outputs.confidences is None else outputs.confidences.tolist(),
            # A row that is not finite has an infinite score, which JSON and some databases can't hold; its flag says it.
            ood_scores=missing
            if scores is None
            else [score if abs(score) != np.inf else None for score in scores.score.tolist()],
            ood_p_values=missing if scores is None else scores.p_value.tolist(),
            flagged=missing if scores is None else scores.flagged.tolist(),
            latencies_seconds=[computed_at - entry.arrived_at for entry in arrived],
            tags=[entry.tags for entry in arrived],
            mirrors=[entry.mirrors for entry in arrived],
            embeddings=outputs.embedding,
            logits=outputs.logits,
            raw_inputs=[entry.raw for entry in arrived] if self._keep_inputs else missing,
            repeatable=any(entry.id is not None for entry in arrived),
        )

    def record(self, batches: Sequence[PredictionBatch]) -> None:
        """Make batches durable, in one commit.

        Raises:
            StoreUnavailable: they are not.
        """
        self._store.recording.record(batches)


def prediction_of(text: str, task: Task) -> Prediction:
    """A prediction as it was answered, from what the record keeps; of a mask the shares alone. See `text_of`."""
    return text if isinstance(task, SingleLabel) else cast(Prediction, orjson.loads(text))


def text_of(prediction: Prediction) -> str:
    """A prediction as the record keeps it: a class as it is, numbers and lists as JSON, of a mask the share of each class."""
    if isinstance(prediction, str):
        return prediction
    return orjson.dumps(prediction["shares"] if isinstance(prediction, dict) else prediction).decode()
