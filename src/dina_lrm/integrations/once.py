"""What is made once in a process, however many threads ask for it at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar, final

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


@final
class Once(Generic[Key, Made]):
    """Things by key: the first that asks makes one, the others wait for it. What failed is made anew by the next."""

    def __init__(self) -> None:
        self._made: dict[Key, Future[Made]] = {}
        self._guard = Lock()
        os.register_at_fork(after_in_child=self._forget)

    def known(self, key: Key) -> Made | None:
        """The thing of a key where it is there already."""
        found = self._made.get(key)
        return found.result() if found is not None and found.done() and found.exception() is None else None

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """The thing of a key. Raises what `make` raised, for all that waited."""
        with self._guard:
            found = self._made.get(key)
            mine = found is None
            if found is None:
                found = self._made[key] = Future()
        if mine:
            self._make(key, found, make)
        return found.result()

    def _make(self, key: Key, found: Future[Made], make: Callable[[], Made]) -> None:
        try:
            found.set_result(make())
        except BaseException as error:
            with self._guard:
                del self._made[key]
            found.set_exception(error)

    def _forget(self) -> None:
        """Begin anew in a fork: threads, locks and models of a GPU do not come along."""
        self._made, self._guard = {}, Lock()
