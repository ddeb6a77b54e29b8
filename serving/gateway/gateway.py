"""One served model: from raw inputs to recorded answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from monitor.history.writer import HistoryWriter
from monitor.reference.file import encode
from monitor.reference.profile import Reference
from monitor.reference.scores import Scores
from serving.engine.engine import Engine
from serving.engine.tuning import Trial, cores
from serving.gateway.compatibility import check_compatible
from serving.gateway.micro_batcher import Job, MicroBatcher
from serving.gateway.recorder import Arrived, Recorder
from serving.learner.adapters import Item
from serving.learner.outputs import Outputs, Prediction
from serving.settings import ServingSettings
from store.errors import BadInput, TimedOut
from store.recording.batches import PredictionBatch, RawInput
from store.repositories.models import ModelRecord
from store.store import Store


@dataclass(frozen=True, slots=True)
class RecordedPrediction:
    """One recorded prediction as the caller is told of it.

    `ood` is None without a reference; a score in it that is infinite is None. Its `nearest` are the training rows most
    like the input, nearest first, as places in the data the reference was made from. `stages` are seconds.
    """

    id: UUID
    prediction: Prediction
    probabilities: list[float] | None
    confidence: float | None
    ood: dict[str, Any] | None
    notes: tuple[str, ...]
    stages: dict[str, float]


@dataclass(slots=True)
class Computed:
    """One forward pass that is not yet recorded. Times are seconds."""

    batch: PredictionBatch
    outputs: Outputs
    scores: Scores | None
    began: float
    forward_seconds: float
    score_seconds: float
    scored: float
    recorded: float = 0.0


# Waits until the caller has gone; never returns for one that stays.
CallerGone = Callable[[], Awaitable[None]]
# A request that is answered by then costs no watch over its caller.
_SECONDS_WORTH_A_THREAD = 1e-3
_SECONDS_BEFORE_WATCHING = 0.05


class Gateway:
    """Serves one model with recording and scoring.

    Raises:
        ModelMismatch: the reference is of another learner, or this machine preprocesses differently.
    """

    def __init__(
        self,
        engine: Engine,
        reference: Reference | None,
        store: Store,
        settings: ServingSettings,
        *,
        name: str | None = None,
        batch_wait_seconds: float = 0.0,
        trial: Trial | None = None,
    ) -> None:
        self.engine = engine
        # How fast the engine was when its backend was chosen, for people.
        self.trial = trial
        self.reference = reference
        self.store = store
        self.settings = settings
        if reference is not None:
            check_compatible(engine, reference)
        assert engine.loaded.sha256 is not None, "a gateway serves an exported file"
        self.model: ModelRecord = store.models.register(
            sha256=engine.loaded.sha256,
            name=name or settings.name or engine.loaded.name,
            application=engine.adapter.application,
            task=engine.task.name,
            classes=engine.task.classes,
            reference=None if reference is None else encode(reference),
        )
        self._recorder = Recorder(store, self.model.sha256, keep_inputs=settings.record_inputs)
        self.history = HistoryWriter(store, self.model.sha256, reference)
        self._pipeline: MicroBatcher[Arrived, RecordedPrediction, Computed] = MicroBatcher(
            self._decode,
            self._run,
            self._record,
            maximum_batch=settings.maximum_batch,
            maximum_waiting=settings.maximum_waiting,
            decode_threads=_decode_threads(engine) if settings.decode_threads is None else settings.decode_threads,
            batch_wait_seconds=batch_wait_seconds,
        )
        self.ready = False

    @cached_property
    def example(self) -> str:
        """One input that the learner takes, as text, for people; empty for pictures."""
        adapter = self.engine.adapter
        return "" if adapter.takes == "pictures" else adapter.examples()[0].content.decode()

    @property
    def label(self) -> str:
        """The model for logs and pages: its name and the beginning of its hash."""
        return f"{self.model.name} {self.model.sha256[:12]}"

    def start(self) -> None:
        """Begin to answer; call inside the running event loop."""
        self._pipeline.start()
        self.history.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.ready = False
        await self._pipeline.stop()
        # It writes what it holds, and nobody else is to wait for that.
        await asyncio.to_thread(self.history.stop)

    async def predict(
        self,
        inputs: Sequence[RawInput],
        tags: dict[str, Any] | None,
        *,
        gone: CallerGone | None = None,
        seconds: float | None = None,
        mirrors: Sequence[UUID] | None = None,
        ids: Sequence[UUID] | None = None,
    ) -> list[RecordedPrediction | BadInput]:
        """Answer inputs in order; one that can't be used gets its error, and the others are answered.

        Args:
            inputs: as they came.
            tags: slices of this request.
            gone: returns when the caller has left; what is not begun by then is dropped.
            seconds: how long the caller waits, by default as the settings say.
            mirrors: the predictions of another version that these repeat, one for each input.
            ids: given where the caller may send the same again; by default fresh ones.

        Raises:
            Overloaded: too many inputs wait already.
            TimedOut: the answer would come too late; what was not begun was dropped.
            StoreUnavailable: the predictions could not be recorded, so they are not answered.
        """
        now = time.perf_counter()
        nothing = [None] * len(inputs)
        arrivals = zip(inputs, mirrors or nothing, ids or nothing, strict=True)
        submitted = self._pipeline.submit([Arrived(raw, tags, now, mirrored, id_) for raw, mirrored, id_ in arrivals])
        try:
            await _wait(submitted.done, gone, self.settings.answer_seconds if seconds is None else seconds)
        finally:
            submitted.leave()
        answers: list[RecordedPrediction | BadInput] = []
        for job in submitted.jobs:
            if job.error is not None and not isinstance(job.error, BadInput):
                raise job.error
            answer = job.error or job.answer
            assert isinstance(answer, RecordedPrediction | BadInput)
            answers.append(answer)
        return answers

    def recorded(self, id_: UUID) -> RecordedPrediction | None:
        """What was answered before under this id, from the record; None if nothing was.

        Its `nearest` are not recorded, and its stages are long past.
        """
        record = self.store.predictions.get(id_)
        if record is None:
            return None
        outputs = self.engine.task.outputs(record.logits[None], record.embedding[None])
        return RecordedPrediction(
            id=id_,
            prediction=outputs.predictions[0],
            probabilities=None if outputs.probabilities is None else outputs.probabilities[0].tolist(),
            confidence=record.confidence,
            ood=None
            if record.flagged is None
            else {"score": record.ood_score, "p_value": record.ood_p_value, "flagged": record.flagged, "nearest": []},
            notes=(),
            stages={},
        )

    def _decode(self, arrival: Arrived) -> Item:
        return self.engine.adapter.decode(arrival.raw)

    def _run(self, jobs: Sequence[Job[Arrived, RecordedPrediction]]) -> Computed:
        began = time.perf_counter()
        outputs = self.engine.run([job.decoded for job in jobs])
        forwarded = time.perf_counter()
        scores = None if self.reference is None else self.reference.score(outputs.embedding, outputs.logits)
        batch = self._recorder.batch([job.content for job in jobs], outputs, scores)
        scored = time.perf_counter()
        return Computed(batch, outputs, scores, began, forwarded - began, scored - forwarded, scored)

    def _record(
        self, passes: Sequence[tuple[Sequence[Job[Arrived, RecordedPrediction]], Computed]]
    ) -> list[list[RecordedPrediction]]:
        self._recorder.record([computed.batch for _, computed in passes])
        recorded = time.perf_counter()
        for _, computed in passes:
            computed.recorded = recorded
            self.history.add(computed.batch, computed.scores)
        return [_answers(jobs, computed) for jobs, computed in passes]


async def _wait(done: asyncio.Future[None], gone: CallerGone | None, seconds: float) -> None:
    await asyncio.wait((done,), timeout=min(_SECONDS_BEFORE_WATCHING, seconds))
    if done.done():
        return
    watch = None if gone is None else asyncio.ensure_future(gone())
    try:
        waiting: set[asyncio.Future[None]] = {done} if watch is None else {done, watch}
        await asyncio.wait(waiting, timeout=seconds - _SECONDS_BEFORE_WATCHING, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if watch is not None:
            watch.cancel()
    if not done.done():
        raise TimedOut(
            f"No answer was ready within {seconds:g} seconds, or the caller left. What had not begun was dropped and "
            "is not recorded. Try again later, or give it longer with the header tidegate-timeout: SECONDS."
        )


def _answers(jobs: Sequence[Job[Arrived, RecordedPrediction]], computed: Computed) -> list[RecordedPrediction]:
    batch, outputs = computed.batch, computed.outputs
    nothing: list[None] = [None] * len(jobs)
    probabilities = nothing if outputs.probabilities is None else outputs.probabilities.tolist()
    nearest = nothing if computed.scores is None else computed.scores.nearest.tolist()
    return [
        RecordedPrediction(
            id=batch.ids[row],
            prediction=outputs.predictions[row],
            probabilities=probabilities[row],
            confidence=batch.confidences[row],
            ood=None
            if computed.scores is None
            else {
                "score": batch.ood_scores[row],
                "p_value": batch.ood_p_values[row],
                "flagged": batch.flagged[row],
                "nearest": nearest[row],
            },
            notes=job.decoded.notes,
            stages={
                "decode": job.decode_seconds,
                "wait": computed.began - job.started,
                "forward": computed.forward_seconds,
                "score": computed.score_seconds,
                "record": computed.recorded - computed.scored,
            },
        )
        for row, job in enumerate(jobs)
    ]


def _decode_threads(engine: Engine) -> int:
    """One for each core, or none where an input is decoded in less time than handing it over is worth."""
    raws = engine.adapter.examples()
    began = time.perf_counter()
    for raw in raws:
        engine.adapter.decode(raw)
    return 0 if time.perf_counter() - began < _SECONDS_WORTH_A_THREAD * len(raws) else cores()
