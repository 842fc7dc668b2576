"""Items that arrive one by one, worked on together: those of one key, at most so many, none waiting for long.

The batcher knows nothing of what it holds. A batch whose work fails is worked on again item by item, so that a bad item
costs its batch-mates nothing but time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from dina_lrm.serving.problems import Problem

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Scored(Generic[Result]):
    """A result, with the milliseconds that its item waited and that its batch took."""

    value: Result
    queue_ms: float
    compute_ms: float
    batch: int


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    size: int
    since: float
    answer: asyncio.Future[Scored[Result]]


class Batcher(Generic[Item, Result]):
    """Hands items of equal keys to `work` together, in a thread of `executor`; made inside a running event loop.

    `most` items a batch; one that is not full waits until its first item is `wait` seconds old. While `work` runs,
    further items gather. Items of more than `most_bytes` in all are refused (429) while others wait.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        executor: Executor,
        *,
        most: int = 8,
        wait: float = 0.01,
        most_bytes: int = 1 << 31,
    ) -> None:
        self._work, self._executor = work, executor
        self._most, self._wait, self._most_bytes = most, wait, most_bytes
        self._queues: dict[Hashable, deque[_Waiting[Item, Result]]] = {}
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self.waiting_bytes = 0
        self.batches = 0
        self.items = 0

    @property
    def waiting(self) -> int:
        """Items that wait for a batch."""
        return sum(map(len, self._queues.values()))

    async def submit(self, key: Hashable, item: Item, size: int) -> Scored[Result]:
        """The result of an item of `size` bytes. Cancelled, it leaves the queue.

        Raises:
            Problem: 429 where too many bytes wait.
            Exception: what `work` raised for this item.
        """
        if self.waiting_bytes and self.waiting_bytes + size > self._most_bytes:
            told = f"{self.waiting_bytes:,} bytes wait; accepted: {self._most_bytes:,}"
            raise Problem(429, "too_much_waits", told, retry_after=1)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.get_running_loop().create_task(self._run())
        waiting = _Waiting[Item, Result](item, size, monotonic(), asyncio.get_running_loop().create_future())
        self._queues.setdefault(key, deque()).append(waiting)
        self.waiting_bytes += size
        self._arrived.set()
        try:
            return await waiting.answer
        finally:
            self.waiting_bytes -= size

    async def close(self) -> None:
        """End the task that makes batches; what waits is cancelled."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for queue in self._queues.values():
            for waiting in queue:
                waiting.answer.cancel()
        self._queues.clear()

    async def _run(self) -> None:
        while True:
            batch = await self._next()
            self.batches, self.items = self.batches + 1, self.items + len(batch)
            try:
                await self._answer(batch)
            except BaseException:
                for waiting in batch:
                    waiting.answer.cancel()
                raise

    async def _next(self) -> list[_Waiting[Item, Result]]:
        """The batch of the item that waits longest, once it is full or that item has waited enough."""
        while True:
            self._arrived.clear()
            self._drop_cancelled()
            if not self._queues:
                await self._arrived.wait()
                continue
            key = min(self._queues, key=lambda each: self._queues[each][0].since)
            queue = self._queues[key]
            left = queue[0].since + self._wait - monotonic()
            if len(queue) >= self._most or left <= 0:
                batch = [queue.popleft() for _ in range(min(self._most, len(queue)))]
                if not queue:
                    del self._queues[key]
                return batch
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                continue

    def _drop_cancelled(self) -> None:
        for key, queue in list(self._queues.items()):
            kept = deque(waiting for waiting in queue if not waiting.answer.done())
            if kept:
                self._queues[key] = kept
            else:
                del self._queues[key]

    async def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        loop, begun = asyncio.get_running_loop(), monotonic()
        try:
            found = await loop.run_in_executor(self._executor, self._work, [waiting.item for waiting in batch])
            if len(found) != len(batch):
                raise RuntimeError(f"{len(found)} results for {len(batch)} items")
        except Exception as error:
            if len(batch) > 1:
                for waiting in batch:
                    await self._answer([waiting])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        took = 1000 * (monotonic() - begun)
        for waiting, value in zip(batch, found, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(Scored(value, 1000 * (begun - waiting.since), took, len(batch)))
