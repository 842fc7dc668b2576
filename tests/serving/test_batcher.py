"""Laws of the batcher: every item is answered once, in batches of one key, and a bad one costs the others nothing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.serving.batcher import Batcher
from dina_lrm.serving.problems import Problem


def run(work, ask, **settings):
    """What `ask(batcher)` gives in an event loop of its own."""

    async def main():
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(work, executor, **{"most": 4, "wait": 0.001, **settings})
            try:
                return await ask(batcher)
            finally:
                await batcher.close()

    return asyncio.run(main())


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=30), st.integers(1, 5))
def test_each_item_gets_its_own_answer_in_batches_of_one_key(items, most):
    batches = []

    def work(batch):
        batches.append([*batch])
        return [(key, 10 * value) for key, value in batch]

    async def ask(batcher):
        found = await asyncio.gather(*(batcher.submit(key, (key, value), 1) for key, value in items))
        assert batcher.waiting == batcher.waiting_bytes == 0
        return found

    found = run(work, ask, most=most)
    assert [each.value for each in found] == [(key, 10 * value) for key, value in items]
    assert sum(map(len, batches)) == len(items)
    assert all(len(batch) <= most and len({key for key, _ in batch}) == 1 for batch in batches)


def test_what_arrives_while_a_batch_is_worked_on_goes_together():
    sizes, free = [], threading.Event()

    def work(batch):
        sizes.append(len(batch))
        free.wait(5)
        return batch

    async def ask(batcher):
        first = asyncio.ensure_future(batcher.submit("a", 0, 1))
        await asyncio.sleep(0.05)
        rest = [asyncio.ensure_future(batcher.submit("a", number, 1)) for number in range(8)]
        await asyncio.sleep(0.05)
        free.set()
        await asyncio.gather(first, *rest)

    run(work, ask, most=8)
    assert sizes == [1, 8]


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_bad_item_fails_alone(bad):
    def work(batch):
        if any(bad[item] for item in batch):
            raise ValueError("a bad item")
        return batch

    async def ask(batcher):
        asked = (batcher.submit(0, number, 1) for number in range(len(bad)))
        return await asyncio.gather(*asked, return_exceptions=True)

    for number, found in enumerate(run(work, ask)):
        assert isinstance(found, ValueError) if bad[number] else found.value == number


def test_beyond_its_bytes_it_refuses_and_takes_again_when_there_is_room():
    free = threading.Event()

    def work(batch):
        free.wait(5)
        return batch

    async def ask(batcher):
        first = asyncio.ensure_future(batcher.submit(0, "first", 60))
        await asyncio.sleep(0.02)
        with pytest.raises(Problem) as refused:
            await batcher.submit(0, "second", 60)
        free.set()
        await first
        return refused.value, (await batcher.submit(0, "third", 60)).value

    problem, third = run(work, ask, most_bytes=100)
    assert (problem.status, problem.retry_after, third) == (429, 1, "third")


def test_one_item_larger_than_all_that_may_wait_is_taken_when_nothing_waits():
    async def ask(batcher):
        return (await batcher.submit(0, "large", 1000)).value

    assert run(lambda batch: batch, ask, most_bytes=100) == "large"


def test_whoever_leaves_is_not_worked_for():
    seen, free = [], threading.Event()

    def work(batch):
        seen.extend(batch)
        free.wait(5)
        return batch

    async def ask(batcher):
        first = asyncio.ensure_future(batcher.submit(0, "first", 1))
        await asyncio.sleep(0.02)
        gone = asyncio.ensure_future(batcher.submit(0, "gone", 1))
        stays = asyncio.ensure_future(batcher.submit(0, "stays", 1))
        await asyncio.sleep(0.02)
        gone.cancel()
        free.set()
        await asyncio.gather(first, stays)
        return batcher.waiting_bytes

    assert run(work, ask) == 0
    assert seen == ["first", "stays"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50), st.booleans(), st.booleans()), max_size=40),
    st.integers(1, 5),
)
def test_whatever_arrives_leaves_and_fails_each_item_that_stays_is_answered_once_and_in_turn(items, most):
    batches, free = [], threading.Event()
    bad = {number for number, (_, _, _, fails) in enumerate(items) if fails}

    def work(batch):
        if batch == ["first"]:
            free.wait(5)
            return batch
        batches.append([*batch])
        if bad.intersection(batch):
            raise ValueError(f"{batch}")
        return batch

    async def ask(batcher):
        first = asyncio.ensure_future(batcher.submit("first", "first", 1))
        while not batcher.batches:  # until it is worked on, however busy the machine is
            await asyncio.sleep(0.001)
        tasks = [
            asyncio.ensure_future(batcher.submit(key, number, size)) for number, (key, size, *_) in enumerate(items)
        ]
        await asyncio.sleep(0)
        assert batcher.waiting == len(items)
        assert batcher.waiting_bytes == 1 + sum(size for _, size, *_ in items)
        for task, (_, _, leaves, _) in zip(tasks, items, strict=True):
            if leaves:
                task.cancel()
        free.set()
        found = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert batcher.waiting == batcher.waiting_bytes == 0
        return found[1:]

    found = run(work, ask, most=most)
    stays = [number for number, (_, _, leaves, _) in enumerate(items) if not leaves]
    for number, (answer, (_, _, leaves, fails)) in enumerate(zip(found, items, strict=True)):
        if leaves:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert str(answer) == f"[{number}]" if fails else answer.value == number
    whole = [batch for number, batch in enumerate(batches) if not _is_again(batch, batches[:number])]
    assert sorted(number for batch in whole for number in batch) == stays
    left = [*stays]
    for batch in whole:  # the longest waiting decides, and the next of its key go with it
        assert batch == [number for number in left if items[number][0] == items[left[0]][0]][:most]
        left = [number for number in left if number not in batch]


def _is_again(batch, before):
    """Whether a batch is one item of an earlier one that failed."""
    return len(batch) == 1 and any(batch[0] in each for each in before)


def test_ten_thousand_leave_one_by_one_from_the_middle():
    free = threading.Event()

    def work(batch):
        free.wait(20)
        return batch

    async def ask(batcher):
        first = asyncio.ensure_future(batcher.submit("first", "first", 0))
        await asyncio.sleep(0.02)
        tasks = [asyncio.ensure_future(batcher.submit(number % 7, number, 3)) for number in range(10_000)]
        await asyncio.sleep(0)
        for number in range(9_999, 0, -1):
            tasks[number].cancel()
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (batcher.waiting, batcher.waiting_bytes) == (1, 3)
        free.set()
        await asyncio.gather(first, tasks[0])
        return batcher.items, batcher.waiting, batcher.waiting_bytes

    assert run(work, ask) == (2, 0, 0)


def test_a_full_batch_does_not_wait_and_a_lone_item_no_longer_than_it_may():
    async def ask(batcher):
        full = [batcher.submit(0, number, 1) for number in range(4)]
        times = [each.queue_ms for each in await asyncio.gather(*full)]
        return max(times), (await batcher.submit(0, 4, 1)).queue_ms

    full, lone = run(lambda batch: batch, ask, wait=0.3)
    assert full < 200 < lone


def test_work_that_answers_another_number_is_an_error():
    async def ask(batcher):
        return await asyncio.gather(batcher.submit(0, 1, 1), return_exceptions=True)

    (found,) = run(lambda batch: [], ask)
    assert isinstance(found, RuntimeError)
