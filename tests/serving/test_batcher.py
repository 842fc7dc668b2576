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


def test_work_that_answers_another_number_is_an_error():
    async def ask(batcher):
        return await asyncio.gather(batcher.submit(0, 1, 1), return_exceptions=True)

    (found,) = run(lambda batch: [], ask)
    assert isinstance(found, RuntimeError)
