"""Batches that gather from anywhere: from threads, and from event loops however many.

The server's batcher lives in one event loop. Here it gets a loop of its own, in a thread that all plug-ins of a process
share; whoever asks is handed a future, which a thread waits for and a coroutine awaits. What is worked on runs in one
more thread, in turn. A bad item costs its batch-mates nothing: a batch that fails is worked on again item by item.
"""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from threading import Lock, Thread
from typing import Final, Generic, TypeVar, final
from weakref import finalize

from dina_lrm.serving.batcher import Batcher, Scored

Item = TypeVar("Item")
Result = TypeVar("Result")

_NO_LIMIT: Final = 1 << 62
"""Bytes that may wait: these are the trainer's own tensors, which lie in memory already."""
_SECONDS_TO_END: Final = 2.0
_guard = Lock()


@final
class Gathered(Generic[Item, Result]):
    """Hands items of equal keys to `work` together: at most `most`, none waiting longer than `wait` seconds for others.

    `work` returns one result for each item, in order, and must not hold this object. It runs in a thread of its own,
    one batch at a time.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], most: int = 16, wait: float = 0.01) -> None:
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dina-lrm work")
        self._batcher = Batcher[Item, Result](work, executor, most=most, wait=wait, most_bytes=_NO_LIMIT)
        finalize(self, _close, self._batcher, executor).atexit = False

    @property
    def batches(self) -> int:
        """How many batches were begun."""
        return self._batcher.batches

    def put(self, key: Hashable, item: Item) -> Future[Scored[Result]]:
        """The future of an item's result; cancelled before its batch begins, the item is left out.

        A thread waits for it with `.result()`, a coroutine with `await asyncio.wrap_future(...)`. It raises what `work`
        raised for this item alone.
        """
        with _guard:
            loop = _loop()
        return asyncio.run_coroutine_threadsafe(self._batcher.submit(key, item, 1), loop)


def _close(batcher: Batcher[Item, Result], executor: ThreadPoolExecutor) -> None:
    """End what made batches for somebody who is gone."""
    executor.shutdown(wait=False)
    with suppress(RuntimeError):  # the loop may have ended
        asyncio.run_coroutine_threadsafe(batcher.close(), _loop())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop of this process, running in its thread until the process ends."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="dina-lrm batches", daemon=True)
    thread.start()
    atexit.register(_end, loop, thread)
    return loop


def _end(loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
    """Cancel what waits, so that nothing is complained of when the interpreter is gone."""
    if not thread.is_alive():  # in a fork of the process that had it
        return

    def cancelled() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_soon(loop.stop)

    loop.call_soon_threadsafe(cancelled)
    thread.join(_SECONDS_TO_END)


# Threads do not come along into a fork
os.register_at_fork(after_in_child=_loop.cache_clear)
