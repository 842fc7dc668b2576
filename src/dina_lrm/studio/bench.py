"""Long works of a studio: one at a time in the order they came, watched while they go on, and stopped when asked.

bench = Bench()
work = bench.begin("Compare folders", lambda work: plan.run(folder, work.part))
work.told()     # how far it is
work.stop()     # the next report that it makes of its progress ends it
work.wait()
work.outcome()  # what the function returned, or raised

A work reports to the functions that `Work.part` gives, as all works of the house do (`runs/progress.py`). Where it was
asked to stop, they raise `WorkStopped`, and it unwinds from where it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError

Found = TypeVar("Found")
MOST_WAITING: Final = 8
"""Works that may wait for the one that goes on; others are refused."""


class WorkStopped(Exception):
    """A work was asked to stop, and did: no fault, and not for loops that go on after a bad file."""


@dataclass
class WorkPart:
    """A part of a work, and how much of it is done; a `total` of 0 is one that is not known yet."""

    title: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.title} {self.done:,} of {self.total:,}" if self.total else self.title


@dataclass(frozen=True)
class WorkTold:
    """How a work stands: the parts that it began, and the seconds since it left the line."""

    parts: tuple[WorkPart, ...]
    seconds: float
    stopping: bool

    @property
    def now(self) -> WorkPart | None:
        """The part that goes on; None before the first."""
        return self.parts[-1] if self.parts else None

    @property
    def done(self) -> str:
        """What was done, in words: every part that got anywhere, and how far."""
        return "; ".join(str(part) for part in self.parts if part.done) or "nothing"


class Work(Generic[Found]):
    """A work in a thread of its own; made by `Bench.begin`."""

    def __init__(self, name: str, owner: Hashable) -> None:
        self.name, self.owner = name, owner
        self._lock = threading.Lock()
        self._parts: list[WorkPart] = []
        self._began: float | None = None
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._found: Found | None = None
        self._error: BaseException | None = None

    @contextmanager
    def part(self, title: str) -> Iterator[ReportProgress]:
        """Begin a part, as `TitledProgress` says; raises WorkStopped here and at each report, once asked to stop."""
        self.go_on()
        part = WorkPart(title)
        with self._lock:
            self._parts.append(part)

        def report(done: int, total: int) -> None:
            with self._lock:
                part.done, part.total = done, total
            self.go_on()

        yield report

    def go_on(self) -> None:
        """Raise WorkStopped where the work was asked to stop."""
        if self._stopping.is_set():
            raise WorkStopped(self.name)

    def stop(self) -> None:
        """Ask the work to stop: it ends at its next report, or before it begins."""
        self._stopping.set()

    @property
    def ended(self) -> bool:
        """Whether it is done, has failed or was stopped."""
        return self._ended.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the work has ended, at most so long; whether it has."""
        return self._ended.wait(seconds)

    def outcome(self) -> Found:
        """What an ended work found. Raises what it raised, WorkStopped where it was stopped."""
        assert self.ended, f"{self.name} goes on"
        if self._error is not None:
            raise self._error
        return self._found  # type: ignore[return-value]  # None only where it found None

    def told(self) -> WorkTold:
        """How the work stands at this moment."""
        with self._lock:
            parts = tuple(WorkPart(part.title, part.done, part.total) for part in self._parts)
            seconds = 0.0 if self._began is None else time.monotonic() - self._began
        return WorkTold(parts, seconds, self._stopping.is_set())

    def run(self, task: Callable[[Work[Found]], Found]) -> None:
        """Do it here and now, and keep what comes of it."""
        with self._lock:
            self._began = time.monotonic()
        try:
            self.go_on()
            self._found = task(self)
        except BaseException as error:  # whoever asks for the outcome is told
            self._error = error

    def end(self) -> None:
        """Say that it has ended, to all who wait for it."""
        self._ended.set()


class Bench:
    """Where works are done, one at a time."""

    def __init__(self) -> None:
        self._line: list[Work[Any]] = []
        self._changed = threading.Condition()

    def begin(self, name: str, task: Callable[[Work[Found]], Found], owner: Hashable = None) -> Work[Found]:
        """Begin a work, as soon as those before it have ended; `owner` is who may stop it.

        Raises DinaError where too many wait.
        """
        work: Work[Found] = Work(name, owner)
        with self._changed:
            waiting = len(self._line) - 1
            if waiting >= MOST_WAITING:
                raise DinaError(f"{name}: {waiting} others wait already; accepted: at most {MOST_WAITING}, try later")
            self._line.append(work)
        thread = threading.Thread(target=self._do, args=(work, task), name=f"studio: {name}", daemon=True)
        thread.start()
        return work

    @property
    def works(self) -> tuple[Work[Any], ...]:
        """The work that goes on, and those that wait for it in their order."""
        with self._changed:
            return tuple(self._line)

    def before(self, work: Work[Any]) -> tuple[Work[Any], ...]:
        """The works that one waits for, the one that goes on first; none where it goes on itself, or has ended."""
        works = self.works
        return works[: works.index(work)] if work in works else ()

    def stop(self, is_meant: Callable[[Hashable], bool]) -> tuple[Work[Any], ...]:
        """Ask all works to stop of whose owner `is_meant` is true; returns them."""
        with self._changed:
            meant = tuple(work for work in self._line if is_meant(work.owner))
            for work in meant:
                work.stop()
            self._changed.notify_all()
        return meant

    def close(self, seconds: float) -> None:
        """Ask all works to stop and wait for them, at most so long in all."""
        end = time.monotonic() + seconds
        for work in self.stop(lambda owner: True):
            work.wait(max(0.0, end - time.monotonic()))

    def _do(self, work: Work[Found], task: Callable[[Work[Found]], Found]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._line[0] is work or work.told().stopping)
        work.run(task)
        with self._changed:
            self._line.remove(work)
            self._changed.notify_all()
        work.end()
