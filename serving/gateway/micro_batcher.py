"""Takes inputs through the gateway in micro-batches: decode, run, record, each in threads of its own, so that they overlap.

- No timer. While one batch runs the next gathers, so that a single client waits for nobody and many share forward
  passes and commits. Only where inputs are being decoded at this moment does a batch wait for them, and no longer than
  the pass that this saves would take.
- While a batch is being recorded the next one runs; the batches that have run meanwhile are recorded in one commit.
- A caller that has left, or whose time is up, is not computed. A bad input fails alone.
- What is accepted is bounded; past that a caller is refused at once.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from store.errors import Overloaded, TidegateError

Content = TypeVar("Content")
Answer = TypeVar("Answer")
Computed = TypeVar("Computed")

_STOP: Any = object()


@dataclass(frozen=True)
class BatchingOptions:
    """How a micro-batcher works.

    `maximum_batch` inputs are computed at once, and at most `maximum_waiting` are accepted and not yet answered.
    `decode_threads` is 0 where decoding is so cheap that handing over would cost more. `batch_wait_seconds` is how long a
    batch waits for inputs that are being decoded.
    """

    maximum_batch: int
    maximum_waiting: int
    decode_threads: int
    batch_wait_seconds: float = 0.0


class Job(Generic[Content, Answer]):
    """One accepted input. `decoded` and then `answer` or `error` are filled in; `decoded_at` is of `time.perf_counter`."""

    __slots__ = ("answer", "content", "decode_seconds", "decoded", "decoded_at", "error", "request")

    def __init__(self, content: Content, request: "_Request") -> None:
        self.content = content
        self.request = request
        self.decoded: Any = None
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.decode_seconds = 0.0
        self.decoded_at = 0.0


class _Request:
    """What one caller waits for: all of its inputs."""

    __slots__ = ("future", "left", "open_jobs")

    def __init__(self, number: int, future: asyncio.Future[None]) -> None:
        self.open_jobs = number
        self.future = future
        # Read by other threads, so it is a plain flag and not the future's own state.
        self.left = False


class Submitted(Generic[Content, Answer]):
    """The jobs of one request; `done` when every one has its answer or error."""

    __slots__ = ("_request", "jobs")

    def __init__(self, jobs: list[Job[Content, Answer]], request: _Request) -> None:
        self.jobs = jobs
        self._request = request

    @property
    def done(self) -> asyncio.Future[None]:
        return self._request.future

    def leave(self) -> None:
        """Nobody waits any more: what has not begun is dropped."""
        self._request.left = True


class MicroBatcher(Generic[Content, Answer, Computed]):
    """Threads for each stage, with queues between them.

    Args:
        decode: decodes one input; any exception is that input's answer.
        run: computes a batch of decoded jobs. If it raises on several jobs they are run one by one.
        record: makes computed batches durable in one go, and returns the answers of each batch in order. An exception
            is the answer of them all, as it is about the record and not about an input.
        options: sizes, threads and waits.
    """

    def __init__(
        self,
        decode: Callable[[Content], Any],
        run: Callable[[Sequence[Job[Content, Answer]]], Computed],
        record: Callable[[Sequence[tuple[Sequence[Job[Content, Answer]], Computed]]], list[list[Answer]]],
        options: BatchingOptions,
    ) -> None:
        self._decode, self._run, self._record = decode, run, record
        self._options = options
        self._accepted = 0
        self._arrived: queue.SimpleQueue[Job[Content, Answer]] = queue.SimpleQueue()
        self._decoded: queue.SimpleQueue[Job[Content, Answer]] = (
            queue.SimpleQueue() if options.decode_threads else self._arrived
        )
        # Two batches may be computed and not yet recorded; then the engine waits for the record.
        self._computed: queue.Queue[tuple[list[Job[Content, Answer]], Computed]] = queue.Queue(2)
        self._decoding = 0
        self._decoding_lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._decoders = [
            threading.Thread(target=self._decode_all, name=f"decode-{number}", daemon=True)
            for number in range(options.decode_threads)
        ]
        self._engine = threading.Thread(target=self._run_all, name="engine", daemon=True)
        self._recorder = threading.Thread(target=self._record_all, name="record", daemon=True)

    def start(self) -> None:
        """Start working; call inside the running event loop."""
        self._loop = asyncio.get_running_loop()
        for thread in (*self._decoders, self._engine, self._recorder):
            thread.start()

    async def stop(self) -> None:
        """Finish what was accepted, then stop."""
        await self._idle.wait()
        await asyncio.to_thread(self._join_threads)

    def _join_threads(self) -> None:
        for _ in self._decoders:
            self._arrived.put(_STOP)
        for thread in self._decoders:
            thread.join()
        self._decoded.put(_STOP)
        self._engine.join()
        self._computed.put(_STOP)
        self._recorder.join()

    def submit(self, contents: Sequence[Content]) -> Submitted[Content, Answer]:
        """Accept the inputs of one request.

        Raises:
            Overloaded: there is no room for them; nothing was accepted.
        """
        if self._accepted + len(contents) > self._options.maximum_waiting:
            raise Overloaded(
                f"{self._accepted:,} inputs are waiting and at most {self._options.maximum_waiting:,} may. "
                "Nothing was computed or recorded. Try again in a second."
            )
        assert self._loop is not None
        request = _Request(len(contents), self._loop.create_future())
        jobs: list[Job[Content, Answer]] = [Job(content, request) for content in contents]
        self._accepted += len(jobs)
        self._idle.clear()
        if self._decoders:
            with self._decoding_lock:
                self._decoding += len(jobs)
        for job in jobs:
            self._arrived.put(job)
        return Submitted(jobs, request)

    def _decode_one(self, job: Job[Content, Answer]) -> bool:
        """Whether the job was decoded; if not, it has an error or nobody waits for it."""
        if job.request.left:
            return False
        began_at = time.perf_counter()
        try:
            job.decoded = self._decode(job.content)
        except Exception as error:  # noqa: BLE001 - it is this input's answer
            job.error = error
        job.decoded_at = time.perf_counter()
        job.decode_seconds = job.decoded_at - began_at
        return job.error is None

    def _decode_all(self) -> None:
        while (job := self._arrived.get()) is not _STOP:
            was_decoded = self._decode_one(job)
            with self._decoding_lock:
                self._decoding -= 1
            if was_decoded:
                self._decoded.put(job)
            else:
                self._settle_soon([job])

    def _run_all(self) -> None:
        while (batch := self._next_batch()) is not None:
            settled = [job for job in batch if job.request.left or job.error is not None]
            if settled:
                self._settle_soon(settled)
                batch = [job for job in batch if not job.request.left and job.error is None]
            if batch:
                self._run_batch(batch)

    def _next_batch(self) -> list[Job[Content, Answer]] | None:
        """The next jobs, as many as wait; None when it is time to stop."""
        batch = [self._decoded.get()]
        deadline = None
        while batch[-1] is not _STOP and len(batch) < self._options.maximum_batch:
            try:
                batch.append(self._decoded.get_nowait())
            except queue.Empty:
                now = time.perf_counter()
                deadline = deadline or now + self._options.batch_wait_seconds
                if self._decoding <= 0 or now >= deadline:
                    break
                try:
                    batch.append(self._decoded.get(timeout=deadline - now))
                except queue.Empty:
                    break
        if batch[-1] is _STOP:
            if len(batch) == 1:
                return None
            self._decoded.put(batch.pop())
        if not self._decoders:
            for job in batch:
                self._decode_one(job)
        return batch

    def _run_batch(self, batch: list[Job[Content, Answer]]) -> None:
        try:
            computed = self._run(batch)
        except Exception as error:  # noqa: BLE001 - every waiting caller is told, and the thread lives on
            if len(batch) > 1:
                for job in batch:
                    self._run_batch([job])
                return
            batch[0].error = error
            self._settle_soon(batch)
            return
        self._computed.put((batch, computed))

    def _record_all(self) -> None:
        while (first := self._computed.get()) is not _STOP:
            passes = [first]
            while not self._computed.empty():
                following = self._computed.get()
                if following is _STOP:
                    self._computed.put(following)
                    break
                passes.append(following)
            jobs = [job for batch, _ in passes for job in batch]
            try:
                answers = [answer for batch in self._record(passes) for answer in batch]
                for job, answer in zip(jobs, answers, strict=True):
                    job.answer = answer
            except Exception as error:  # noqa: BLE001 - every waiting caller is told, and the thread lives on
                for job in jobs:
                    # Each caller gets an error of its own: one exception raised in several tasks garbles tracebacks.
                    job.error = _copy_error(error)
            self._settle_soon(jobs)

    def _settle_soon(self, jobs: list[Job[Content, Answer]]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._settle, jobs)

    def _settle(self, jobs: list[Job[Content, Answer]]) -> None:
        self._accepted -= len(jobs)
        for job in jobs:
            request = job.request
            request.open_jobs -= 1
            if not request.open_jobs and not request.future.done():
                request.future.set_result(None)
        if not self._accepted:
            self._idle.set()


def _copy_error(error: Exception) -> Exception:
    if not isinstance(error, TidegateError):
        return error
    copy = error.__class__.__new__(error.__class__)
    copy.args, copy.__dict__ = error.args, dict(error.__dict__)
    return copy
