"""What workers of Ray hold in tests: plain numbers, so that no library is loaded in them."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from dina_lrm.typed import DinaError


@dataclass
class Squares:
    """Squares numbers; does badly what a task asks for in words."""

    folder: Path
    told: dict[str, Any] = field(default_factory=lambda: {"weights": 1})
    asks: dict[str, Any] = field(default_factory=dict)

    def ready(self, task, common):
        if task == "end at once":  # while the task before is worked on
            os.kill(os.getpid(), signal.SIGKILL)
        return task, common

    def done(self, ready):
        task, common = ready
        if task == "refuse":
            raise DinaError("a task that is refused")
        if task == "end":
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(task, tuple):  # ends the first that has it
            task, mark = task
            if not (self.folder / mark).exists():
                (self.folder / mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if task % 7 == 0:
            time.sleep(0.05)
        with (self.folder / "done").open("a") as file:
            file.write(f"{task} {os.getpid()}\n")
        return task * task + (common or 0)


def refused():
    raise DinaError("there is no such model")


def ended():
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Unlike:
    """Loads other weights in each process."""

    folder: Path

    def __call__(self):
        return Squares(self.folder, {"weights": os.getpid()})


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Processes of our workers below a process, those that hold something first."""
    return [each for each in process.children(recursive=True) if "ray::Worker" in " ".join(each.cmdline()[:1])]
