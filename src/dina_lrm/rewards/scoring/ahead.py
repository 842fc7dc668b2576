"""Work that threads do ahead of its use, in order, on as few items at once as are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def ahead(
    pool: Executor, work: Callable[[Item], Found], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Found]]:
    """Each item with what `work` makes of it; that of the next `count` items is done meanwhile."""
    left = iter(items)
    waiting: deque[tuple[Item, Future[Found]]] = deque()
    try:
        while True:
            waiting.extend((item, pool.submit(work, item)) for item in islice(left, count + 1 - len(waiting)))
            if not waiting:
                return
            item, future = waiting.popleft()
            yield item, future.result()
    finally:
        for _, future in waiting:
            future.cancel()
