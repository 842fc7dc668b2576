"""Items that arrive one by one, worked on together: those of one key, at most so many, none waiting for long.

The batcher knows nothing of what it holds. A batch whose work fails is worked on again item by item, so that a bad item
costs its batch-mates nothing but time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
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
    key: Hashable
    item: Item
    since: float
    answer: asyncio.Future[Scored[Result]]


class Batcher(Generic[Item, Result]):
    """Hands items of equal keys to `work` together, in a thread of `executor`; made inside a running event loop.

    `most` items a batch; one that is not full waits until its first item is `wait` seconds old. While `work` runs,
    further items gather. The item that waits longest decides whose turn it is, so that no key starves. Items of more
    than `most_bytes` in all are refused (429) while others wait.
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
        # What waits, by arrival and by key: linked, so that whoever leaves from the middle costs the same as the first
        self._order: OrderedDict[_Waiting[Item, Result], None] = OrderedDict()
        self._queues: dict[Hashable, OrderedDict[_Waiting[Item, Result], None]] = {}
        self._arrived = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self.waiting_bytes = 0
        self.batches = 0
        self.items = 0

    @property
    def waiting(self) -> int:
        """Items that wait for a batch."""
        return len(self._order)

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
        waiting = _Waiting[Item, Result](key, item, monotonic(), asyncio.get_running_loop().create_future())
        self._add(waiting)
        self.waiting_bytes += size
        try:
            return await waiting.answer
        finally:
            self.waiting_bytes -= size
            self._remove(waiting)

    async def close(self) -> None:
        """End the task that makes batches; what waits is cancelled."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        for waiting in [*self._order]:
            waiting.answer.cancel()
            self._remove(waiting)

    def _add(self, waiting: _Waiting[Item, Result]) -> None:
        queue = self._queues.setdefault(waiting.key, OrderedDict())
        queue[waiting] = self._order[waiting] = None
        if len(self._order) == 1 or len(queue) >= self._most:  # else nothing is to be done before the first is due
            self._arrived.set()

    def _remove(self, waiting: _Waiting[Item, Result]) -> None:
        if waiting in self._order:
            del self._order[waiting]
            queue = self._queues[waiting.key]
            del queue[waiting]
            if not queue:
                del self._queues[waiting.key]

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
            first = next(iter(self._order), None)
            if first is None:
                await self._woken(None)
                continue
            left = first.since + self._wait - monotonic()
            if left > 0 and len(self._queues[first.key]) < self._most:
                await self._woken(left)
            elif batch := self._taken(first.key):
                return batch

    async def _woken(self, within: float | None) -> None:
        """Sleep until there is something to do, or for so many seconds."""
        self._arrived.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._arrived.wait()

    def _taken(self, key: Hashable) -> list[_Waiting[Item, Result]]:
        """The first items of a key, out of the queue; those that were cancelled a moment ago are left out."""
        batch = [*islice(self._queues[key], self._most)]
        for waiting in batch:
            self._remove(waiting)
        return [waiting for waiting in batch if not waiting.answer.done()]

    async def _answer(self, batch: list[_Waiting[Item, Result]]) -> None:
        loop, begun = asyncio.get_running_loop(), monotonic()
        try:
            found = await loop.run_in_executor(self._executor, self._work, [waiting.item for waiting in batch])
            if len(found) != len(batch):
                raise RuntimeError(f"{len(found)} results for {len(batch)} items")
        except Exception as error:
            if len(batch) > 1:
                for waiting in batch:
                    if not waiting.answer.done():
                        await self._answer([waiting])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        took = 1000 * (monotonic() - begun)
        for waiting, value in zip(batch, found, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(Scored(value, 1000 * (begun - waiting.since), took, len(batch)))
