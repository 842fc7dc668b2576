"""Which prompts a server has, so that each is sent once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Final, final

MOST: Final = 1 << 16
"""Hashes that are remembered; that which was used longest ago is forgotten first."""


@final
class KnownPrompts:
    """The hashes that a server is known to have. `sending` is held while prompts are sent, so that none goes twice."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._names = most, OrderedDict[str, None]()
        self._lock, self.sending = threading.Lock(), threading.Lock()

    def __len__(self) -> int:
        return len(self._names)

    def missing(self, names: Collection[str]) -> list[str]:
        """Those of the names that are not known; the others count as used."""
        with self._lock:
            found = [name for name in names if name not in self._names]
            for name in set(names) - set(found):
                self._names.move_to_end(name)
        return found

    def add(self, name: str) -> None:
        """Remember one."""
        with self._lock:
            self._names[name] = None
            self._names.move_to_end(name)
            while len(self._names) > self._most:
                self._names.popitem(last=False)

    def forget(self, names: Iterable[str]) -> None:
        """The server does not have these."""
        with self._lock:
            for name in names:
                self._names.pop(name, None)
