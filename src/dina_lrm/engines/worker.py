"""What stands in the process of a worker: something loaded once, which tasks are given to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar, final

import ray
import torch

from dina_lrm.typed import DinaError

Task = TypeVar("Task", contravariant=True)
Ready = TypeVar("Ready")
Found = TypeVar("Found", covariant=True)
LIBRARIES: Final = ("torch", "diffusers", "transformers", "peft")
"""Those that may change what comes out, beside our own."""
OURS: Final = "dina-lrm"


class Loaded(Protocol[Task, Ready, Found]):
    """What a worker holds; `told` is what results depend on, which must be equal in all workers, `asks` is how it
    would have its tasks, which may not be.
    """

    told: Mapping[str, Any]
    asks: Mapping[str, Any]

    def ready(self, task: Task, common: Any) -> Ready:  # noqa: ANN401 - what all tasks share
        """Fetch what the task needs, in a thread, while another task is worked on."""

    def done(self, ready: Ready) -> Found:
        """Do the work; never two at once."""


@dataclass(frozen=True)
class Begun:
    """A worker that has loaded what it needs: where it is, its libraries, and what its results depend on.

    `unseen` are those of the files it was asked for that are not there.
    """

    machine: str
    versions: Mapping[str, str]
    told: Mapping[str, Any]
    asks: Mapping[str, Any] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """Why a worker could not load what it needs."""

    machine: str
    reason: str


def versions() -> dict[str, str]:
    """Versions of the libraries that results depend on, "none" for one that is not installed; and, where there is no
    GPU, the threads of a product and the instructions of the processor, which decide the order of sums.
    """
    found = {name: _version(name) for name in (OURS, *LIBRARIES)}
    if torch.cuda.is_available():
        return found
    instructions = torch.backends.cpu.get_cpu_capability()
    return found | {"threads": str(torch.get_num_threads()), "instructions": instructions}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@final
class Worker(Generic[Task, Ready, Found]):
    """An actor: loads when it is told to, so that what it cannot load is an answer and no death."""

    def __init__(self, load: Callable[[], Loaded[Task, Ready, Found]]) -> None:
        self._load = load
        self._loaded: Loaded[Task, Ready, Found] | None = None
        self._common: tuple[ray.ObjectRef, Any] | None = None
        self._fetching, self._working = threading.Lock(), threading.Lock()

    def begin(self, folder: str, files: Sequence[str]) -> Begun | Refused:
        """Load, in the folder that the one who asks is in, where it is here too; say which of `files` are not seen."""
        with suppress(OSError):
            os.chdir(folder)
        machine = socket.gethostname()
        unseen = tuple(file for file in files if not Path(file).exists())
        if unseen:
            return Begun(machine, versions(), {}, unseen=unseen)
        try:
            self._loaded = self._load()
        except (ValueError, OSError, ImportError) as error:
            return Refused(machine, str(error) if isinstance(error, DinaError) else f"{type(error).__name__}: {error}")
        return Begun(machine, versions(), self._loaded.told, self._loaded.asks)

    def work(self, task: Task, common: Sequence[ray.ObjectRef]) -> Found:
        """Do one task; `common` holds what all tasks share, fetched once."""
        assert self._loaded is not None
        ready = self._loaded.ready(task, self._shared(common[0]))
        with self._working:
            return self._loaded.done(ready)

    def _shared(self, reference: ray.ObjectRef) -> Any:  # noqa: ANN401 - what the work gave
        with self._fetching:
            if self._common is None or self._common[0] != reference:
                self._common = (reference, ray.get(reference))
            return self._common[1]
