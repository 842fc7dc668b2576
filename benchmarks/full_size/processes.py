"""A command in a process of its own, watched: the memory it takes, of which kind, and its processor time."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

EVERY: Final = 0.1
"""Seconds between two looks."""


@dataclass
class Watched:
    """What a process took; bytes in GiB, the highest of what was seen every tenth of a second.

    `resident` is the kernel's own high-water mark (VmHWM), with the pages of files that are mapped: the kernel can drop
    those when somebody needs the memory. `anonymous` is what it could not drop without swapping.
    """

    command: str
    status: int
    resident: float = 0.0
    anonymous: float = 0.0
    mapped: float = 0.0
    """Of files, at the moment when it was most."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def row(self) -> dict[str, object]:
        """As plain values."""
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(self).items()}


def watched(words: Sequence[str], environment: dict[str, str] | None = None) -> Watched:
    """Run a command to its end; its output goes where ours does."""
    start, before = time.perf_counter(), os.times()
    process = subprocess.Popen([*words], env={**os.environ, **(environment or {})})
    found = Watched(" ".join(words), 0)
    while process.poll() is None:
        _look(process.pid, found)
        time.sleep(EVERY)
    after = os.times()
    found.status, found.seconds = process.returncode, time.perf_counter() - start
    found.cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return found


def _look(pid: int, found: Watched) -> None:
    """At /proc/PID/status."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    except (FileNotFoundError, ProcessLookupError):
        return
    held = {name: int(lines[name].split()[0]) / 2**20 for name in ("VmHWM", "RssAnon", "RssFile") if name in lines}
    if len(held) == 3:
        found.resident = max(found.resident, held["VmHWM"])
        found.anonymous = max(found.anonymous, held["RssAnon"])
        found.mapped = max(found.mapped, held["RssFile"])
