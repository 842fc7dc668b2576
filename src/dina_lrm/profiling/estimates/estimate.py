"""An estimate of a job: phases of its memory, disk and time; what does not fit, and what would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Final

import torch

from dina_lrm.profiling.estimates.rate import seconds_of
from dina_lrm.profiling.estimates.room import Room
from dina_lrm.screen import bytes_text
from dina_lrm.typed import DinaError

LIBRARIES: Final = 600 * 2**20
"""What Python, torch and diffusers take on the host: the bundled model scores in 590 MB."""


@dataclass(frozen=True)
class Load:
    """One thing that is loaded: its name, the type it is held in, and bytes there."""

    name: str
    dtype: str
    bytes: int

    def __str__(self) -> str:
        """In a line."""
        return f"{self.name} {bytes_text(self.bytes)} ({self.dtype})"


@dataclass(frozen=True)
class Phase:
    """A part of the job: what is in memory while it lasts. Weights are bytes, work is what is computed with them."""

    name: str
    weights: int
    work: int = 0

    @property
    def bytes(self) -> int:
        """Together."""
        return self.weights + self.work


@dataclass(frozen=True)
class WayOut:
    """An option that lowers the peak, and the peak with it in bytes."""

    option: str
    peak: int


@dataclass(frozen=True)
class JobEstimate:
    """What a job takes at least. `device` is where it computes; `ways` are tried where it does not fit, in order."""

    job: str
    device: str
    loads: tuple[Load, ...]
    phases: tuple[Phase, ...]
    disk: int | None = None
    """Bytes that it writes; None where they are not counted."""
    flops: float = 0.0
    """Of the whole job; 0 where they are not counted."""
    dtype: torch.dtype = torch.float32
    """The type that it computes in."""
    counts: dict[str, int] = field(default_factory=dict)
    uncounted: tuple[str, ...] = ()
    """What the numbers leave out, in words."""
    ways: tuple[tuple[str, Callable[[], JobEstimate]], ...] = ()

    @property
    def peak(self) -> int:
        """Bytes of the largest phase, with the libraries where it computes on the host."""
        largest = max((phase.bytes for phase in self.phases), default=0)
        return largest + (0 if self.on_device else LIBRARIES)

    @cached_property
    def seconds(self) -> float | None:
        """At a rate that is measured now, good to a factor of three; None where FLOPs are not counted."""
        return seconds_of(self.flops, self.device, self.dtype) if self.flops else None

    @property
    def on_device(self) -> bool:
        """Whether it computes in a memory that is not the host's."""
        return not self.device.startswith(("cpu", "mps"))

    def misfits(self, room: Room) -> list[str]:
        """What is not there, in words: memory, disk. What the system does not tell fits."""
        found = []
        free = room.memory
        if free is not None and self.peak > free:
            where = f"memory of {self.device}" if self.on_device else "memory"
            found.append(
                f"at least {bytes_text(self.peak)} of {where} ({self.largest}), and {bytes_text(free)} are free"
            )
        if self.disk is not None and room.disk is not None and self.disk > room.disk:
            found.append(f"about {bytes_text(self.disk)} of disk, and {bytes_text(room.disk)} are free")
        return found

    @property
    def largest(self) -> str:
        """The phase that the peak is of, in words."""
        if not self.phases:
            return "nothing that is counted"
        phase = max(self.phases, key=lambda one: one.bytes)
        return f"{phase.name}: {bytes_text(phase.weights)} of weights, {bytes_text(phase.work)} to compute"

    def ways_out(self, room: Room) -> list[WayOut]:
        """The options with which it would fit."""
        tried = [(option, make()) for option, make in self.ways]
        return [WayOut(option, one.peak) for option, one in tried if not one.misfits(room)]

    def refuse(self, room: Room) -> None:
        """Raise DinaError where it does not fit, with the numbers and the options that would."""
        missing = self.misfits(room)
        if not missing:
            return
        ways = [f"{way.option} ({bytes_text(way.peak)})" for way in self.ways_out(room)]
        accepted = "; ".join([*ways, "--force, which begins all the same"])
        raise DinaError(f"{self.job}: takes {'; '.join(missing)}; accepted: {accepted}")

    def lines(self, room: Room) -> Iterator[str]:
        """What a person is told, line by line."""
        yield f"loads {', '.join(map(str, self.loads)) or 'nothing that is counted'}"
        beside = "" if room.memory is None else f"; {bytes_text(room.memory)} are free"
        yield f"peak memory on {self.device}: at least {bytes_text(self.peak)} ({self.largest}){beside}"
        if self.disk is not None:
            yield f"disk: about {bytes_text(self.disk)}" + (
                "" if room.disk is None else f"; {bytes_text(room.disk)} are free"
            )
        counted = ", ".join(f"{number:,} {name}" for name, number in self.counts.items())
        if self.seconds is not None:
            yield f"time: about {duration(self.seconds)} for {counted}, to a factor of three"
        elif counted:
            yield f"for {counted}; the time is not estimated"
        if self.uncounted:
            yield f"not counted: {', '.join(self.uncounted)}"
        for missing in self.misfits(room):
            yield f"does not fit: {missing}"
        for way in self.ways_out(room) if self.misfits(room) else ():
            yield f"would fit: {way.option} ({bytes_text(way.peak)})"

    def to_dict(self, room: Room) -> dict[str, Any]:
        """Plain values."""
        return {
            "job": self.job,
            "device": self.device,
            "loads": [asdict(load) for load in self.loads],
            "phases": [asdict(phase) for phase in self.phases],
            "peak_memory_bytes": self.peak,
            "disk_bytes": self.disk,
            "estimated_seconds": self.seconds,
            "counts": dict(self.counts),
            "not_counted": list(self.uncounted),
            "free": room.to_dict(),
            "fits": not self.misfits(room),
            "would_fit": [asdict(way) for way in self.ways_out(room)] if self.misfits(room) else [],
        }


def duration(seconds: float) -> str:
    """Seconds for a person: two digits are more than is known."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 2 else "a second or two"


def phases_of(kept: int, *phases: Phase) -> tuple[Phase, ...]:
    """Phases that each have `kept` bytes of weights beside their own."""
    return tuple(Phase(phase.name, kept + phase.weights, phase.work) for phase in phases)
