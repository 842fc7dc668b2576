"""What the replicas of one server share: prompts that one of them was given, the counts of all, and when all end.

A request may reach another replica than the prompt did that it names by its hash. So every replica hands on what it is
given, and asks for what it lacks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol, final, runtime_checkable

SILENT: Final = 30.0
"""Seconds after which a replica that has not reported counts as gone."""


@runtime_checkable
class Peers(Protocol):
    """The other replicas, as one of them sees them."""

    async def keep(self, name: str, blob: bytes) -> None:
        """Make a prompt known to all: its hash, and the blob that came with it."""

    async def recall(self, name: str) -> bytes | None:
        """The blob of a prompt that any replica was given; None where none was."""

    async def known(self, name: str) -> bool:
        """Whether any replica was given the prompt of this hash."""

    async def metrics(self, own: str) -> str:
        """The counts of all, where this replica's are `own`."""


@final
class Alone:
    """A server of one process, which has no peers."""

    async def keep(self, name: str, blob: bytes) -> None:
        """Nobody else is to know."""

    async def recall(self, name: str) -> bytes | None:
        """Nobody else has it."""
        return None

    async def known(self, name: str) -> bool:
        """Nobody else knows it."""
        return False

    async def metrics(self, own: str) -> str:
        """Its own are all."""
        return own


@dataclass(frozen=True)
class _Report:
    metrics: str
    busy: int
    draining: bool
    at: float


@final
class Common:
    """One for all replicas: prompts by hash, at most `most_bytes`, and what each replica last said of itself.

    It holds bytes and reads none of them. What it forgets, or loses with its process, clients send again.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._blobs: OrderedDict[str, bytes] = OrderedDict()
        self._reports: dict[str, _Report] = {}
        self._draining = False

    async def keep(self, name: str, blob: bytes) -> None:
        """Keep a prompt; those used longest ago make room for it."""
        self._bytes += len(blob) - len(self._blobs.pop(name, b""))
        self._blobs[name] = blob
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._blobs.popitem(last=False)[1])

    async def recall(self, name: str) -> bytes | None:
        """The blob of a prompt, if it is kept."""
        if name in self._blobs:
            self._blobs.move_to_end(name)
        return self._blobs.get(name)

    async def known(self, name: str) -> bool:
        """Whether a prompt is kept."""
        return name in self._blobs

    async def report(self, replica: str, metrics: str, busy: int, draining: bool) -> bool:
        """Hear a replica's counts and how many requests it is answering; answers whether it shall take no more."""
        self._reports[replica] = _Report(metrics, busy, draining, monotonic())
        return self._draining

    async def drain(self) -> int | None:
        """Tell all replicas to take no more; the requests that they still answer, None until all of them have heard."""
        self._draining = True
        there = self._there()
        return sum(each.busy for each in there.values()) if all(each.draining for each in there.values()) else None

    async def metrics(self) -> dict[str, str]:
        """The counts of each replica that is there."""
        return {replica: each.metrics for replica, each in self._there().items()}

    def _there(self) -> dict[str, _Report]:
        now = monotonic()
        self._reports = {name: each for name, each in self._reports.items() if now - each.at < SILENT}
        return self._reports


def together(texts: Mapping[str, str]) -> str:
    """The counts of several replicas as one text for Prometheus: each line says whose it is."""
    comments = dict.fromkeys(line for text in texts.values() for line in text.splitlines() if line.startswith("#"))
    lines = [line for replica, text in texts.items() for line in _labelled(text.splitlines(), replica)]
    return "\n".join((*comments, *sorted(lines, key=lambda line: line.partition("{")[0]))) + "\n"


def _labelled(lines: Iterable[str], replica: str) -> list[str]:
    """The lines with one label more."""
    found, label = [], f'replica="{replica}"'
    for line in lines:
        if line.startswith("#") or not line:
            continue
        name, brace, rest = line.partition("{")
        plain, _, value = line.rpartition(" ")
        found.append(f"{name}{{{label},{rest}" if brace else f"{plain}{{{label}}} {value}")
    return found
