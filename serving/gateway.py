"""One served model: from raw inputs to recorded answers."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from monitor.reference import Reference
from monitor.reference_file import encode
from serving.adapters import Item
from serving.batcher import Batcher
from serving.engine import Engine
from serving.minutes import Minutes
from serving.outputs import Prediction
from serving.pairing import check_pair
from serving.recorder import Arrived, Recorder
from serving.settings import ServingSettings
from store import Store
from store.errors import BadInput, StoreUnavailable
from store.models import ModelRecord
from store.predictions import PredictionRecord, RawInput


@dataclass(frozen=True)
class Job:
    """One decoded input with where it came from."""

    item: Item
    arrival: Arrived


@dataclass(frozen=True)
class Answered:
    """One recorded prediction: what the record holds of it, and what only the caller is told.

    `nearest` are the training rows most like it, nearest first, as places in the data the reference was made from.
    """

    record: PredictionRecord
    prediction: Prediction
    probabilities: list[float] | None
    notes: tuple[str, ...]
    nearest: tuple[int, ...] = ()

    @property
    def ood(self) -> dict[str, Any] | None:
        """What the scorer says of it, as recorded; None without a reference. A score that is infinite is None."""
        if self.record.flagged is None:
            return None
        return {
            "score": self.record.ood_score,
            "p_value": self.record.ood_p_value,
            "flagged": self.record.flagged,
            "nearest": self.nearest,
        }


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
            check_pair(engine, reference)
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
        self._minutes = None if reference is None else Minutes(store, self.model.sha256, reference)
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
        if self._minutes is not None:
            self._minutes.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.ready = False
        await self._batcher.stop()
        self._decoders.shutdown()
        if self._minutes is not None:
            self._minutes.stop()

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
        records = self._recorder.record([job.arrival for job in jobs], outputs, scores)
        if self._minutes is not None and scores is not None:
            self._minutes.add(records[0].at, outputs.embedding, outputs.logits, scores)
        return [
            Answered(
                record=record,
                prediction=outputs.predictions[row],
                probabilities=None if outputs.probabilities is None else outputs.probabilities[row].tolist(),
                notes=job.item.notes,
                nearest=() if scores is None else tuple(scores.nearest[row].tolist()),
            )
            for row, (job, record) in enumerate(zip(jobs, records, strict=True))
        ]
