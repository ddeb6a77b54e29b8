"""Writes a micro-batch to the record before anyone is answered."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from monitor.reference import Scores
from serving.outputs import Outputs, Prediction
from store import Store
from store.clock import new_id, utc_now
from store.predictions import PredictionRecord, RawInput


@dataclass(frozen=True)
class Arrived:
    """An input on its way: what was sent, the caller's tags, and when it came (`time.perf_counter`)."""

    raw: RawInput
    tags: dict[str, Any] | None
    arrived: float


class Recorder:
    """Records predictions of one model."""

    def __init__(self, store: Store, model_sha256: str, *, keep_inputs: bool) -> None:
        self._store = store
        self._model_sha256 = model_sha256
        self._keep_inputs = keep_inputs

    def record(self, arrivals: Sequence[Arrived], outputs: Outputs, scores: Scores | None) -> list[PredictionRecord]:
        """Write a batch in one commit and return what was written; durable when this returns.

        Raises:
            StoreUnavailable: nothing was written.
        """
        at, now = utc_now(), time.perf_counter()
        records = [
            PredictionRecord(
                id=new_id(),
                at=at,
                prediction=text_of(outputs.predictions[row]),
                class_index=None if outputs.class_indices is None else int(outputs.class_indices[row]),
                confidence=None if outputs.confidences is None else float(outputs.confidences[row]),
                ood_score=None if scores is None else _finite(scores.score[row]),
                ood_p_value=None if scores is None else float(scores.p_value[row]),
                flagged=None if scores is None else bool(scores.flagged[row]),
                latency_seconds=now - arrival.arrived,
                tags=arrival.tags,
                embedding=outputs.embedding[row],
                logits=outputs.logits[row],
                raw_input=arrival.raw if self._keep_inputs else None,
            )
            for row, arrival in enumerate(arrivals)
        ]
        self._store.predictions.record(self._model_sha256, records)
        return records


def text_of(prediction: Prediction) -> str:
    """A prediction as the record keeps it: a class as it is, numbers and lists as JSON."""
    return prediction if isinstance(prediction, str) else orjson.dumps(prediction).decode()


def _finite(score: float) -> float | None:
    # A row that is not finite has an infinite score, which JSON and some databases can't hold; its flag says it.
    return float(score) if abs(score) != float("inf") else None
