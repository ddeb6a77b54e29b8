"""One served model: from raw inputs to recorded answers."""

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from monitor.reference import Reference
from monitor.reference_file import encode
from serving.adapters import Item
from serving.batcher import Batcher
from serving.engine import Engine
from serving.outputs import Prediction
from serving.probes import check_parity
from serving.recorder import Arrived, Recorder
from serving.settings import ServingSettings
from store import Store
from store.errors import BadInput, ModelMismatch, StoreUnavailable
from store.models import ModelRecord
from store.predictions import RawInput

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One decoded input with where it came from."""

    item: Item
    arrival: Arrived


@dataclass(frozen=True)
class Ood:
    """What the scorer says of one input. `score` is None where it is infinite."""

    score: float | None
    p_value: float
    flagged: bool


@dataclass(frozen=True)
class Answered:
    """One recorded prediction."""

    id: UUID
    prediction: Prediction
    probabilities: list[float] | None
    confidence: float | None
    ood: Ood | None
    notes: tuple[str, ...]


class Gateway:
    """Serves one model with recording and scoring.

    Raises:
        ModelMismatch: the reference is of another learner, or this machine preprocesses differently.
    """

    def __init__(self, engine: Engine, reference: Reference | None, store: Store, settings: ServingSettings) -> None:
        self.engine = engine
        self.reference = reference
        self.store = store
        self.settings = settings
        if reference is not None:
            check_belongs(engine, reference)
            check_parity(engine, reference.probes)
        assert engine.loaded.sha256 is not None, "a gateway serves an exported file"
        self.model: ModelRecord = store.models.register(
            sha256=engine.loaded.sha256,
            name=settings.name or engine.loaded.name,
            application=engine.adapter.application,
            task=engine.task.name,
            classes=engine.task.classes,
            reference=None if reference is None else encode(reference),
        )
        self._recorder = Recorder(store, self.model.sha256, keep_inputs=settings.record_inputs)
        self._decoders = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self._batcher: Batcher[Job, Answered] = Batcher(
            self._run,
            maximum_batch=settings.maximum_batch,
            maximum_waiting=settings.maximum_waiting,
            shared_errors=(StoreUnavailable,),
        )
        self.ready = False

    def start(self) -> None:
        """Begin to answer; call inside the running event loop."""
        self._batcher.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.ready = False
        await self._batcher.stop()
        self._decoders.shutdown()

    async def predict(self, inputs: Sequence[RawInput], tags: dict[str, Any] | None) -> list[Answered | BadInput]:
        """Answer inputs in order; one that can't be used gets its error, and the others are answered.

        Raises:
            Overloaded: too many inputs wait already.
            StoreUnavailable: the predictions could not be recorded, so they are not answered.
        """
        self._batcher.admit(len(inputs))
        tasks = [asyncio.create_task(self._predict_one(raw, tags)) for raw in inputs]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _predict_one(self, raw: RawInput, tags: dict[str, Any] | None) -> Answered | BadInput:
        arrival = Arrived(raw, tags, time.perf_counter())
        loop = asyncio.get_running_loop()
        try:
            item = await loop.run_in_executor(self._decoders, self.engine.adapter.decode, raw)
        except BadInput as error:
            return error
        return await self._batcher.submit(Job(item, arrival))

    def _run(self, jobs: Sequence[Job]) -> list[Answered]:
        outputs = self.engine.run([job.item for job in jobs])
        scores = None if self.reference is None else self.reference.score(outputs.embedding, outputs.logits)
        ids = self._recorder.record([job.arrival for job in jobs], outputs, scores)
        return [
            Answered(
                id=ids[row],
                prediction=outputs.predictions[row],
                probabilities=None if outputs.probabilities is None else outputs.probabilities[row].tolist(),
                confidence=None if outputs.confidences is None else float(outputs.confidences[row]),
                ood=None
                if scores is None
                else Ood(
                    float(scores.score[row]) if abs(scores.score[row]) != float("inf") else None,
                    float(scores.p_value[row]),
                    bool(scores.flagged[row]),
                ),
                notes=job.item.notes,
            )
            for row, job in enumerate(jobs)
        ]


def check_belongs(engine: Engine, reference: Reference) -> None:
    """See that a reference was made with this learner.

    Raises:
        ModelMismatch: it was made with another one.
    """
    origin, loaded = reference.origin, engine.loaded
    if origin is None:
        raise ModelMismatch(
            "The reference does not say which learner it is of. Make it with `tidegate profile` or `profile(learn)`."
        )
    if origin.learner_sha256 is not None and origin.learner_sha256 != loaded.sha256:
        same_weights = origin.weights_sha256 == loaded.weights_sha256
        again = " It has the same weights, so the learner was exported again." if same_weights else ""
        raise ModelMismatch(
            f"The reference is of the learner {origin.learner_sha256[:12]} ({origin.name}), and this one is "
            f"{(loaded.sha256 or 'in memory')[:12]}.{again} Make a reference of this learner: "
            "`tidegate profile export.pkl --data TRAINING_DATA`."
        )
    if origin.weights_sha256 != loaded.weights_sha256:
        raise ModelMismatch(
            f"The reference was made with other weights than this learner's ({origin.name}). "
            "Make it again: `tidegate profile export.pkl --data TRAINING_DATA`."
        )
