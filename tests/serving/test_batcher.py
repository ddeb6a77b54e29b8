"""The micro-batcher: nobody waits for a timer, nobody is forgotten, a bad job fails alone."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from serving.batcher import Batcher
from store.errors import Overloaded, StoreUnavailable


def doubling(batches: list[int]):
    def run(jobs: Sequence[int]) -> list[int]:
        batches.append(len(jobs))
        if any(job < 0 for job in jobs):
            raise ValueError("a negative job")
        return [2 * job for job in jobs]

    return run


def with_batcher(run, play, **options):
    async def main():
        batcher = Batcher(run, **{"maximum_batch": 8, "maximum_waiting": 100, **options})
        batcher.start()
        try:
            return await play(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(main())


def test_every_job_gets_its_own_answer_and_batches_stay_small() -> None:
    batches: list[int] = []

    async def play(batcher):
        return await asyncio.gather(*(batcher.submit(job) for job in range(50)))

    assert with_batcher(doubling(batches), play) == [2 * job for job in range(50)]
    assert max(batches) <= 8
    assert len(batches) < 50


def test_a_single_client_is_answered_at_once_in_batches_of_one() -> None:
    batches: list[int] = []

    async def play(batcher):
        return [await batcher.submit(job) for job in range(5)]

    with_batcher(doubling(batches), play)
    assert batches == [1] * 5


def test_a_job_that_fails_takes_no_other_with_it() -> None:
    async def play(batcher):
        return await asyncio.gather(*(batcher.submit(job) for job in (1, 2, -3, 4)), return_exceptions=True)

    one, two, bad, four = with_batcher(doubling([]), play)
    assert (one, two, four) == (2, 4, 8)
    assert isinstance(bad, ValueError)


def test_an_error_of_the_service_fails_the_batch_without_running_it_again() -> None:
    calls: list[int] = []

    def away(jobs: Sequence[int]) -> list[int]:
        calls.append(len(jobs))
        raise StoreUnavailable("away")

    async def play(batcher):
        return await asyncio.gather(*(batcher.submit(job) for job in range(4)), return_exceptions=True)

    errors = with_batcher(away, play, shared_errors=(StoreUnavailable,))
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert sum(calls) == 4


def test_a_caller_that_has_left_is_not_computed() -> None:
    gate = threading.Event()
    seen: list[int] = []

    def run(jobs: Sequence[int]) -> list[int]:
        seen.extend(jobs)
        gate.wait(5)
        return list(jobs)

    async def play(batcher):
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.05)
        leaver, stayer = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
        await asyncio.sleep(0.05)
        leaver.cancel()
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(first, stayer)

    assert with_batcher(run, play) == [1, 3]
    assert seen == [1, 3]


def test_a_full_queue_refuses_and_accepts_again_later() -> None:
    gate = threading.Event()

    def run(jobs: Sequence[int]) -> list[int]:
        gate.wait(5)
        return list(jobs)

    async def play(batcher):
        tasks = [asyncio.create_task(batcher.submit(job)) for job in range(3)]
        await asyncio.sleep(0.05)
        batcher.admit(1)
        with pytest.raises(Overloaded, match="3 inputs are waiting"):
            batcher.admit(2)
        gate.set()
        await asyncio.gather(*tasks)
        batcher.admit(4)

    with_batcher(run, play, maximum_waiting=4)


def test_stopping_finishes_what_was_accepted() -> None:
    async def main():
        batcher = Batcher(doubling([]), maximum_batch=2, maximum_waiting=100)
        batcher.start()
        tasks = [asyncio.create_task(batcher.submit(job)) for job in range(9)]
        await asyncio.sleep(0)
        await batcher.stop()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [2 * job for job in range(9)]
