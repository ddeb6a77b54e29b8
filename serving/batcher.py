"""The micro-batcher: a bounded queue before one worker that runs whatever waits as one batch.

No timer: while a batch runs, the next one gathers. A single client therefore waits for nobody, and many clients share
forward passes and commits.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from store.errors import Overloaded, TidegateError

Job = TypeVar("Job")
Answer = TypeVar("Answer")


class Batcher(Generic[Job, Answer]):
    """Runs jobs in batches in one thread of its own.

    Args:
        run: takes a batch of jobs and returns their answers in order. If it raises on several jobs they are run one by
            one, so that a bad one fails alone; errors about the service itself (`shared_errors`) fail the batch as one.
        maximum_batch: jobs in one batch.
        maximum_waiting: jobs that wait; more are refused.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Job]], list[Answer]],
        *,
        maximum_batch: int,
        maximum_waiting: int,
        shared_errors: tuple[type[Exception], ...] = (),
    ) -> None:
        self._run = run
        self._maximum_batch = maximum_batch
        self._maximum_waiting = maximum_waiting
        self._shared_errors = shared_errors
        self._waiting: asyncio.Queue[tuple[Job, asyncio.Future[Answer]]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._task: asyncio.Task[None] | None = None
        self._accepted = 0

    def start(self) -> None:
        """Start working; call inside the running event loop."""
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish what was accepted, then stop."""
        await self._waiting.join()
        if self._task is not None:
            self._task.cancel()
        self._thread.shutdown()

    def admit(self, number: int) -> None:
        """See that so many more jobs have room.

        Raises:
            Overloaded: they have not; nothing was accepted.
        """
        if self._accepted + number > self._maximum_waiting:
            raise Overloaded(
                f"{self._accepted:,} inputs are waiting and at most {self._maximum_waiting:,} may. "
                "Nothing was computed or recorded. Try again in a second."
            )

    async def submit(self, job: Job) -> Answer:
        """Run a job with whatever else waits, and return its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._accepted += 1
        self._waiting.put_nowait((job, future))
        try:
            return await future
        finally:
            self._accepted -= 1

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._maximum_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                # A caller that has left is not computed.
                await self._answer([(job, future) for job, future in batch if not future.done()])
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def _answer(self, batch: list[tuple[Job, asyncio.Future[Answer]]]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._run, [job for job, _ in batch])
        except Exception as error:  # noqa: BLE001 - every waiting caller is told, and the worker lives on
            if len(batch) > 1 and not isinstance(error, self._shared_errors):
                for one in batch:
                    await self._answer([one])
                return
            for _, future in batch:
                _fail(future, error)
            return
        for (_, future), result in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(result)


def _fail(future: asyncio.Future[Answer], error: Exception) -> None:
    if not future.done():
        # Each caller gets an error of its own: one exception object raised in several tasks garbles tracebacks.
        future.set_exception(error if not isinstance(error, TidegateError) else _copy(error))


def _copy(error: TidegateError) -> TidegateError:
    copy = error.__class__.__new__(error.__class__)
    copy.args, copy.__dict__ = error.args, dict(error.__dict__)
    return copy
