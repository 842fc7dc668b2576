"""Tasks dealt out to workers of Ray, and what comes of them in the order of the tasks.

A worker has one task in work and one waiting, so that it never waits itself. What is done but not yet asked for is
bounded: a task that takes long holds the others back rather than filling the memory. A worker that dies is replaced and
its tasks are done again, each with a worker to itself, so that it is known which one ends it; a task that ends its
worker again and again ends the run, with its name.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, final

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from dina_lrm.engines.ray_session import seats, session
from dina_lrm.engines.settings import RayEngine
from dina_lrm.engines.worker import OURS, Begun, Loaded, Refused, Worker, versions
from dina_lrm.typed import DinaError

Task = TypeVar("Task")
Ready = TypeVar("Ready")
Found = TypeVar("Found")
_AT_ONCE: Final = 2
_AHEAD: Final = 8
"""Tasks for each worker that may be done or in work beyond the oldest that is not."""
_DEATHS: Final = 3
_LOADING: Final = -1
"""In the place of a task's number: deaths of workers that had not begun."""


@dataclass(eq=False)
class _Seat(Generic[Task]):
    """A worker of the pool: its actor, what it answered when it began, and its tasks by what is awaited of them."""

    actor: Any
    beginning: ray.ObjectRef
    begun: Begun | None = None
    tasks: dict[ray.ObjectRef, tuple[int, Task]] = field(default_factory=dict)
    alone: bool = False
    """Whether its task may end it, and is to have no other beside it."""


@final
class RayPool(Generic[Task, Ready, Found]):
    """Workers that each hold what `load` makes, ready for tasks while entered.

    `told` is what results depend on, as the workers say it; `files` are some that every worker must see, asked before
    anything is loaded. `replaced` counts workers that died, `again` the tasks that were done again for it.

    Raises, when it is entered or later:
        ValueError: no such Ray, no room for the workers, a worker that cannot load, sees none of the files, or has
            other versions or weights than the first; workers that die again and again.
    """

    def __init__(
        self,
        engine: RayEngine,
        load: Callable[[], Loaded[Task, Ready, Found]],
        *,
        with_gpu: bool = True,
        files: Sequence[str] = (),
        named: Callable[[Task], str] = repr,
    ) -> None:
        self._engine, self._load, self._with_gpu, self._files, self._named = engine, load, with_gpu, files, named
        self._held = ExitStack()
        self._seats: list[_Seat[Task]] = []
        self._options: dict[str, Any] = {}
        self._deaths: Counter[int] = Counter()
        self._first: Begun | None = None
        self.replaced = self.again = 0
        self.other_versions: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Connect, start the workers, and wait for the first."""
        try:
            self._held.enter_context(session(self._engine))
            workers, gpus = seats(self._engine, self._with_gpu)
            self._options = {"num_cpus": self._engine.cpus, "num_gpus": gpus, "max_concurrency": _AT_ONCE}
            self._seats = [self._new_seat() for _ in range(workers)]
            while self._first is None:
                self._wait()
        except BaseException:
            self._held.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers, and the Ray if it is our own."""
        with self._held:
            for seat in self._seats:
                ray.kill(seat.actor)

    @property
    def told(self) -> Mapping[str, Any]:
        """What results depend on."""
        assert self._first is not None
        return self._first.told

    @property
    def asks(self) -> Mapping[str, Any]:
        """How the first worker would have its tasks."""
        assert self._first is not None
        return self._first.asks

    def notes(self) -> Iterator[str]:
        """All that is not as one would think, in sentences."""
        if self.replaced:
            yield f"{self.replaced} workers of Ray ended and were replaced; {self.again} tasks were done again"
        for machine, told in self.other_versions.items():
            yield f"the worker on {machine} is not as this process: {told}; scores may differ in the last digits"

    def each(self, tasks: Iterable[Task], common: object = None) -> Iterator[Found]:
        """What comes of each task, in their order; `common` is given to all."""
        shared, left = [ray.put(common)], enumerate(tasks)
        again: deque[tuple[int, Task]] = deque()
        done: dict[int, Found] = {}
        given, wanted, more = 0, 0, True
        while True:
            while (again or (more and given < wanted + self._bound)) and (seat := self._free(suspect=bool(again))):
                seat.alone = bool(again)
                found = again.popleft() if again else next(left, None)
                if found is None:
                    more = False
                    continue
                given = max(given, found[0] + 1)
                seat.tasks[seat.actor.work.remote(found[1], shared)] = found
            if not (more or again or any(seat.tasks for seat in self._seats)):
                return
            self._wait(done, again)
            while wanted in done:
                yield done.pop(wanted)
                wanted += 1

    @property
    def _bound(self) -> int:
        return _AHEAD * len(self._seats)

    def _free(self, suspect: bool) -> _Seat[Task] | None:
        """A worker that can take another task; for one that may have ended a worker, one without any."""
        most = {seat: 1 if suspect or seat.alone else _AT_ONCE for seat in self._seats if seat.begun is not None}
        free = [seat for seat, tasks in most.items() if len(seat.tasks) < tasks]
        return min(free, key=lambda seat: len(seat.tasks), default=None)

    def _new_seat(self) -> _Seat[Task]:
        actor = ray.remote(Worker).options(**self._options).remote(self._load)
        return _Seat(actor, actor.begin.remote(os.getcwd(), self._files))

    def _wait(self, done: dict[int, Found] | None = None, again: deque[tuple[int, Task]] | None = None) -> None:
        """Wait until something is done, begun or dead, and take note of it."""
        awaited = {reference: seat for seat in self._seats for reference in _awaited(seat)}
        [reference], _ = ray.wait([*awaited], num_returns=1)
        seat = awaited[reference]
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            raise error.cause from error
        except RayActorError as error:
            again = deque() if again is None else again
            again.extendleft(reversed(self._lost(seat, error)))
            return
        if reference in seat.tasks:
            assert done is not None
            done[seat.tasks.pop(reference)[0]] = answer
        else:
            seat.begun = self._checked(answer)

    def _lost(self, seat: _Seat[Task], error: RayError) -> list[tuple[int, Task]]:
        """Put another worker in the place of one that died; returns the tasks it had, to be done again."""
        reason = " ".join(str(error).split())
        lost = sorted(seat.tasks.values(), key=lambda item: item[0])
        for number, task in lost if seat.begun else [(_LOADING, None)]:
            self._deaths[number] += 1
            if self._deaths[number] >= _DEATHS and len(lost) < 2:  # of two, it may be the other
                what = "while they load" if task is None else f"on {self._named(task)}"
                raise DinaError(f"--engine ray: {_DEATHS} workers in a row ended {what}: {reason:.600}") from error
        self.replaced += 1
        self.again += len(lost)
        self._seats[self._seats.index(seat)] = self._new_seat()
        return lost

    def _checked(self, answer: Begun | Refused) -> Begun:
        if isinstance(answer, Refused):
            raise DinaError(f"worker on {answer.machine}: {answer.reason}")
        here, there = versions(), answer.versions
        if answer.unseen:
            told = f"{answer.unseen[0]} is not there; accepted: files in a folder that all machines see in one place"
            raise DinaError(f"worker on {answer.machine}: {told}")
        if here[OURS] != there[OURS]:
            told = f"{OURS} {there[OURS]}, and here {here[OURS]}; accepted: one version on all machines"
            raise DinaError(f"worker on {answer.machine}: {told}")
        other = [f"{name} {there.get(name, '-')} (here {here[name]})" for name in here if here[name] != there.get(name)]
        if other:
            self.other_versions[answer.machine] = ", ".join(other)
        del self._deaths[_LOADING]
        if self._first is None:
            self._first = answer
        for name, value in self._first.told.items():
            if answer.told.get(name) != value:
                told = f"{name} is {answer.told.get(name)!r}, on {self._first.machine} {value!r}"
                raise DinaError(f"worker on {answer.machine}: {told}; accepted: the same on all machines")
        return answer


def _awaited(seat: _Seat[Any]) -> list[ray.ObjectRef]:
    return [*seat.tasks] if seat.begun is not None else [seat.beginning]
