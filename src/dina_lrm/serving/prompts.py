"""Conditioning of prompts kept by the hash of what it holds: a step of 252 items with 14 prompts sends them once."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import final

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.prompt_rows import conditioning_bytes, prompt_hash
from dina_lrm.serving.problems import Problem


@final
class PromptShelf:
    """Prompts by hash, at most `most_bytes`; the one used longest ago goes first, unless a request holds it."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._kept: OrderedDict[str, Conditioning] = OrderedDict()
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def put(self, conditioning: Conditioning, name: str | None = None) -> tuple[str, bool]:
        """Keep one prompt; its hash, and whether it is new.

        Raises:
            Problem: 422 where `name` is another hash than the content's, 507 where all that is kept is held.
        """
        found = prompt_hash(conditioning)
        if name is not None and name != found:
            raise Problem(422, "hash_mismatch", f"{name}: what was sent has the hash {found}")
        with self._lock:
            if found in self._kept:
                self._kept.move_to_end(found)
                return found, False
            self._make_room(conditioning_bytes(conditioning))
            self._kept[found] = conditioning
            self.bytes += conditioning_bytes(conditioning)
        return found, True

    @contextmanager
    def holding(self, names: Sequence[str]) -> Iterator[list[Conditioning]]:
        """The prompts of these hashes, which stay while this is entered.

        Raises:
            Problem: 409 with the list of those that are not here.
        """
        with self._lock:
            unknown = [name for name in dict.fromkeys(names) if name not in self._kept]
            if unknown:
                told = f"{len(unknown)} of {len(set(names))} hashes are not known; PUT /v1/prompts/HASH, and ask again"
                raise Problem(409, "unknown_prompts", told, hashes=unknown)
            found = [self._kept[name] for name in names]
            self._used(names)
        try:
            yield found
        finally:
            with self._lock:
                self._held -= Counter(set(names))

    def _used(self, names: Iterable[str]) -> None:
        for name in dict.fromkeys(names):
            self._held[name] += 1
            self._kept.move_to_end(name)

    def _make_room(self, size: int) -> None:
        free = [name for name in self._kept if not self._held[name]]
        freed = 0
        for name in free:
            if self.bytes - freed + size <= self.most_bytes:
                break
            freed += conditioning_bytes(self._kept[name])
        if self.bytes - freed + size > self.most_bytes:
            held = self.bytes - freed
            told = f"a prompt of {size:,} bytes beside {held:,} that are held; the store has {self.most_bytes:,}"
            raise Problem(507, "store_full", told)
        for name in free:
            if self.bytes + size <= self.most_bytes:
                break
            self.bytes -= conditioning_bytes(self._kept.pop(name))
