"""One served version of a model: from raw inputs to recorded answers."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from monitor.history.writer import HistoryWriter
from monitor.reference.profile import Reference
from monitor.reference.profile_file import encode
from monitor.reference.scores import Scores
from serving.engine.engine import Engine
from serving.engine.tuning import Trial, cores
from serving.gateway.compatibility import check_compatible
from serving.gateway.micro_batcher import BatchingOptions, Job, MicroBatcher
from serving.gateway.recorded_prediction import CallerGone, GatewayRequest, Ood, Outcome, RecordedPrediction
from serving.gateway.recorder import ArrivedInput, Recorder, prediction_of
from serving.learner.adapters import Item
from serving.learner.outputs import Outputs, Prediction
from serving.learner.tasks import Segmentation
from serving.settings import ServingSettings
from store.errors import BadInput, TimedOut
from store.recording.prediction_batch import PredictionBatch, PredictionRecord
from store.repositories.models import ModelRecord
from store.store import Store


@dataclass(slots=True)
class ComputedBatch:
    """One forward pass that is not yet recorded. `…_at` are of `time.perf_counter`."""

    batch: PredictionBatch
    outputs: Outputs
    scores: Scores | None
    began_at: float
    forward_seconds: float
    score_seconds: float
    scored_at: float
    recorded_at: float = 0.0


# Decoding that takes less than this for an input is done where the batch is run: handing it over would cost more.
_SECONDS_WORTH_A_THREAD = 1e-3
# A request that is answered by then costs no watch over its caller.
_SECONDS_BEFORE_WATCHING = 0.05


class Gateway:
    """Serves one model with recording and scoring.

    Args:
        engine: runs the learner; loaded from an exported file.
        reference: what predictions are scored against; None to record them without scores.
        store: where they are recorded.
        settings: the limits.
        name: what the model is called on pages; by default as the settings say, or the file's name.
        trial: how fast the engine was when its backend was chosen, for people, and for how long a batch waits for inputs
            that are being decoded; None where nothing was measured, and a batch waits for none.

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
        trial: Trial | None = None,
    ) -> None:
        self.engine = engine
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
        self._micro_batcher: MicroBatcher[ArrivedInput, RecordedPrediction, ComputedBatch] = MicroBatcher(
            self._decode, self._run, self._record, _batching_options(engine, settings, trial)
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
        self._micro_batcher.start()
        self.history.start()
        self.ready = True

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.ready = False
        await self._micro_batcher.stop()
        # It writes what it holds, and nobody else is to wait for that.
        await asyncio.to_thread(self.history.stop)

    async def predict(self, request: GatewayRequest) -> list[Outcome]:
        """Answer inputs in order; one that can't be used gets its error, and the others are answered.

        Raises:
            Overloaded: too many inputs wait already.
            TimedOut: the answer would come too late; what was not begun was dropped.
            StoreUnavailable: the predictions could not be recorded, so they are not answered.
        """
        submitted = self._micro_batcher.submit(_arrived_inputs(request))
        timeout_seconds = self.settings.answer_seconds if request.timeout_seconds is None else request.timeout_seconds
        try:
            await _wait(submitted.done, request.caller_gone, timeout_seconds)
        finally:
            submitted.leave()
        outcomes: list[Outcome] = []
        for job in submitted.jobs:
            if job.error is not None and not isinstance(job.error, BadInput):
                raise job.error
            outcome = job.error or job.answer
            assert isinstance(outcome, RecordedPrediction | BadInput)
            outcomes.append(outcome)
        return outcomes

    def recorded(self, id_: UUID) -> RecordedPrediction | None:
        """What was answered before under this id, from the record; None if nothing was.

        Its `nearest` are not recorded, and its stages are long past.
        """
        record = self.store.predictions.get(id_)
        if record is None:
            return None
        probabilities = self.engine.task.probabilities(record.logits[None])
        return RecordedPrediction(
            id=id_,
            prediction=self._predicted(record),
            probabilities=None if probabilities is None else probabilities[0].tolist(),
            confidence=record.confidence,
            ood=None
            if record.flagged is None or record.ood_p_value is None
            else Ood(record.ood_score, record.ood_p_value, record.flagged, nearest=[]),
            notes=(),
            stages={},
        )

    def _predicted(self, record: PredictionRecord) -> Prediction:
        """What was predicted then. A mask is not recorded: it is made again from its input, where that is."""
        if isinstance(self.engine.task, Segmentation) and record.raw_input is not None:
            return self.engine.predict([record.raw_input]).predictions[0]
        return prediction_of(record.prediction, self.engine.task)

    def _decode(self, arrived: ArrivedInput) -> Item:
        return self.engine.adapter.decode(arrived.raw)

    def _run(self, jobs: Sequence[Job[ArrivedInput, RecordedPrediction]]) -> ComputedBatch:
        began_at = time.perf_counter()
        outputs = self.engine.run([job.decoded for job in jobs])
        forwarded_at = time.perf_counter()
        scores = None if self.reference is None else self.reference.score(outputs.embedding, outputs.logits)
        batch = self._recorder.batch([job.content for job in jobs], outputs, scores)
        scored_at = time.perf_counter()
        return ComputedBatch(
            batch, outputs, scores, began_at, forwarded_at - began_at, scored_at - forwarded_at, scored_at
        )

    def _record(
        self, passes: Sequence[tuple[Sequence[Job[ArrivedInput, RecordedPrediction]], ComputedBatch]]
    ) -> list[list[RecordedPrediction]]:
        self._recorder.record([computed.batch for _, computed in passes])
        recorded_at = time.perf_counter()
        for _, computed in passes:
            computed.recorded_at = recorded_at
            self.history.add(computed.batch, computed.scores)
        return [_recorded_predictions(jobs, computed) for jobs, computed in passes]


def _arrived_inputs(request: GatewayRequest) -> list[ArrivedInput]:
    arrived_at = time.perf_counter()
    missing = [None] * len(request.inputs)
    return [
        ArrivedInput(raw, request.tags, arrived_at, mirrored_id, id_)
        for raw, mirrored_id, id_ in zip(
            request.inputs, request.mirrors or missing, request.ids or missing, strict=True
        )
    ]


async def _wait(done: asyncio.Future[None], caller_gone: CallerGone | None, timeout_seconds: float) -> None:
    """Wait for an answer for as long as its caller does.

    Raises:
        TimedOut: there was none in time, or the caller left.
    """
    await asyncio.wait((done,), timeout=min(_SECONDS_BEFORE_WATCHING, timeout_seconds))
    if done.done():
        return
    watch = None if caller_gone is None else asyncio.ensure_future(caller_gone())
    try:
        waiting: set[asyncio.Future[None]] = {done} if watch is None else {done, watch}
        await asyncio.wait(
            waiting, timeout=timeout_seconds - _SECONDS_BEFORE_WATCHING, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        if watch is not None:
            watch.cancel()
    if not done.done():
        raise TimedOut(
            f"No answer was ready within {timeout_seconds:g} seconds, or the caller left. What had not begun was dropped and "
            "is not recorded. Try again later, or give it longer with the header tidegate-timeout: SECONDS."
        )


def _recorded_predictions(
    jobs: Sequence[Job[ArrivedInput, RecordedPrediction]], computed: ComputedBatch
) -> list[RecordedPrediction]:
    batch, outputs = computed.batch, computed.outputs
    missing: list[None] = [None] * len(jobs)
    probabilities = missing if outputs.probabilities is None else outputs.probabilities.tolist()
    oods = missing if computed.scores is None else _oods(batch, computed.scores)
    return [
        RecordedPrediction(
            id=batch.ids[row_index],
            prediction=outputs.predictions[row_index],
            probabilities=probabilities[row_index],
            confidence=batch.confidences[row_index],
            ood=oods[row_index],
            notes=job.decoded.notes,
            stages={
                "decode": job.decode_seconds,
                "wait": computed.began_at - job.decoded_at,
                "forward": computed.forward_seconds,
                "score": computed.score_seconds,
                "record": computed.recorded_at - computed.scored_at,
            },
        )
        for row_index, job in enumerate(jobs)
    ]


def _oods(batch: PredictionBatch, scores: Scores) -> list[Ood]:
    # The batch has None for scores that are not finite.
    columns = batch.ood_scores, scores.p_value.tolist(), scores.flagged.tolist(), scores.nearest.tolist()
    return [Ood(*values) for values in zip(*columns, strict=True)]


def _batching_options(engine: Engine, settings: ServingSettings, trial: Trial | None) -> BatchingOptions:
    return BatchingOptions(
        maximum_batch=settings.maximum_batch,
        maximum_waiting=settings.maximum_waiting,
        decode_threads=_decode_threads(engine) if settings.decode_threads is None else settings.decode_threads,
        batch_wait_seconds=0.0 if trial is None else trial.saved_by_batching_seconds,
    )


def _decode_threads(engine: Engine) -> int:
    """One for each core, or none where an input is decoded in less time than handing it over is worth."""
    raws = engine.adapter.examples()
    began_at = time.perf_counter()
    for raw in raws:
        engine.adapter.decode(raw)
    return 0 if time.perf_counter() - began_at < _SECONDS_WORTH_A_THREAD * len(raws) else cores()
