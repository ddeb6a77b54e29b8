"""The micro-batcher: nobody waits for a timer, nobody is forgotten, a bad input fails alone."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from serving.gateway.micro_batcher import BatchingOptions, Job, MicroBatcher, Submitted
from store.errors import BadInput, Overloaded, StoreUnavailable


class Doubling:
    """A pipeline's work that doubles numbers and remembers the batches it saw."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.commits: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.decoded: list[int] = []

    def decode(self, content: int) -> int:
        self.decoded.append(content)
        if content == 1_013:
            raise BadInput("1013 can't be read")
        return content

    def run(self, jobs: Sequence[Job[int, int]]) -> list[int]:
        self.gate.wait(5)
        numbers = [job.decoded for job in jobs]
        self.batches.append(numbers)
        if any(number < 0 for number in numbers):
            raise ValueError("a negative job")
        return [2 * number for number in numbers]

    def record(self, passes: Sequence[tuple[Sequence[Job[int, int]], list[int]]]) -> list[list[int]]:
        self.commits.append(len(passes))
        return [computed for _, computed in passes]


def play(work: Doubling, scene: Callable[[MicroBatcher[int, int, list[int]]], Any], **options: Any) -> Any:
    async def main() -> Any:
        pipeline: MicroBatcher[int, int, list[int]] = MicroBatcher(
            work.decode,
            work.run,
            work.record,
            BatchingOptions(**{"maximum_batch": 8, "maximum_waiting": 100, "decode_threads": 0, **options}),
        )
        pipeline.start()
        try:
            return await scene(pipeline)
        finally:
            work.gate.set()
            await pipeline.stop()

    return asyncio.run(main())


async def outcome(submitted: Submitted[int, int]) -> list[Any]:
    await submitted.done
    return [job.error or job.answer for job in submitted.jobs]


@pytest.mark.parametrize("decode_threads", [0, 3])
def test_every_input_gets_its_own_answer_and_batches_stay_small(decode_threads: int) -> None:
    work = Doubling()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[list[int]]:
        return list(await asyncio.gather(*(outcome(pipeline.submit([job, job + 100])) for job in range(40))))

    assert play(work, scene, decode_threads=decode_threads) == [[2 * job, 2 * job + 200] for job in range(40)]
    assert max(map(len, work.batches)) <= 8
    assert len(work.batches) < 80


def test_a_single_client_is_answered_at_once_in_batches_of_one() -> None:
    work = Doubling()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[list[int]]:
        return [await outcome(pipeline.submit([job])) for job in range(5)]

    play(work, scene, batch_wait_seconds=10, decode_threads=2)
    assert work.batches == [[job] for job in range(5)]


@pytest.mark.parametrize("decode_threads", [0, 2])
def test_an_input_that_cannot_be_read_is_refused_and_the_others_of_its_request_are_answered(
    decode_threads: int,
) -> None:
    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[Any]:
        return await outcome(pipeline.submit([1, 1_013, 3]))

    one, bad, three = play(Doubling(), scene, decode_threads=decode_threads)
    assert (one, three) == (2, 6)
    assert isinstance(bad, BadInput)


def test_an_input_on_which_the_model_fails_takes_no_other_with_it() -> None:
    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[Any]:
        return await outcome(pipeline.submit([1, 2, -3, 4]))

    one, two, bad, four = play(Doubling(), scene)
    assert (one, two, four) == (2, 4, 8)
    assert isinstance(bad, ValueError)


def test_a_record_that_is_away_fails_everyone_each_with_an_error_of_its_own() -> None:
    class Away(Doubling):
        def record(self, passes: Any) -> list[list[int]]:
            raise StoreUnavailable("away")

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[Any]:
        return await outcome(pipeline.submit([1, 2, 3]))

    errors = play(Away(), scene)
    assert all(isinstance(error, StoreUnavailable) for error in errors)
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize("decode_threads", [0, 2])
def test_a_caller_that_has_left_is_not_computed(decode_threads: int) -> None:
    work = Doubling()
    work.gate.clear()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> list[Any]:
        first = pipeline.submit([1])
        await asyncio.sleep(0.05)
        leaver, stayer = pipeline.submit([2]), pipeline.submit([3])
        leaver.leave()
        work.gate.set()
        await leaver.done
        return [await outcome(first), await outcome(stayer)]

    assert play(work, scene, decode_threads=decode_threads) == [[2], [6]]
    assert [number for batch in work.batches for number in batch] == [1, 3]


def test_a_full_house_refuses_and_accepts_again_later() -> None:
    work = Doubling()
    work.gate.clear()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> None:
        waiting = [pipeline.submit([job]) for job in range(3)]
        with pytest.raises(Overloaded, match="3 inputs are waiting"):
            pipeline.submit([7, 8])
        work.gate.set()
        await asyncio.gather(*(outcome(one) for one in waiting))
        assert await outcome(pipeline.submit([1, 2, 3, 4])) == [2, 4, 6, 8]

    play(work, scene, maximum_waiting=4)


def test_stopping_finishes_what_was_accepted() -> None:
    async def main() -> list[list[Any]]:
        work = Doubling()
        pipeline: MicroBatcher[int, int, list[int]] = MicroBatcher(
            work.decode,
            work.run,
            work.record,
            BatchingOptions(maximum_batch=2, maximum_waiting=100, decode_threads=2),
        )
        pipeline.start()
        waiting = [pipeline.submit([job]) for job in range(9)]
        await pipeline.stop()
        return [await outcome(one) for one in waiting]

    assert asyncio.run(main()) == [[2 * job] for job in range(9)]


def test_what_was_computed_while_the_record_was_busy_is_recorded_in_one_commit() -> None:
    class Slow(Doubling):
        def record(self, passes: Any) -> list[list[int]]:
            if not self.commits:
                time.sleep(0.3)
            return super().record(passes)

    work = Slow()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> None:
        waiting = []
        for job in range(3):
            waiting.append(outcome(pipeline.submit([job])))
            await asyncio.sleep(0.05)
        await asyncio.gather(*waiting)

    play(work, scene)
    assert work.commits == [1, 2]


def test_a_batch_waits_for_inputs_that_are_being_decoded_and_for_no_longer_than_its_patience() -> None:
    class SlowToDecode(Doubling):
        def decode(self, content: int) -> int:
            time.sleep(content / 1_000)
            return content

    work = SlowToDecode()

    async def scene(pipeline: MicroBatcher[int, int, list[int]]) -> None:
        await asyncio.gather(*(outcome(pipeline.submit([milliseconds])) for milliseconds in (1, 100, 900)))

    play(work, scene, decode_threads=3, batch_wait_seconds=0.4)
    assert work.batches == [[1, 100], [900]]
