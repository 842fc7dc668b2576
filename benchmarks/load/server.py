"""A real `dina-lrm serve` in a process of its own, with the memory and processor time that it takes."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

PROGRAM = Path(sys.executable).with_name("dina-lrm")
START_SECONDS = 180
STOP_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that is ready, and the seconds from its start until it was."""

    address: str
    process: psutil.Process
    seconds: float

    def resident(self) -> float:
        """Resident memory in MiB."""
        return float(self.process.memory_info().rss) / 2**20

    def items(self) -> int:
        """Items that it has scored so far, by its own count."""
        with urllib.request.urlopen(f"{self.address}/metrics", timeout=30) as answer:
            return sum(map(int, re.findall(r"^dina_lrm_items_total\S* (\d+)$", answer.read().decode(), re.MULTILINE)))

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads together."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def serving(*words: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server of the bundled model with these options, on a free port; ended by SIGTERM, which must give 0.

    Raises:
        RuntimeError: one that is not ready in time, with what it said, or ends otherwise than with 0.
    """
    begun = time.perf_counter()
    command = [str(PROGRAM), "serve", "--port", "0", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(environment or {})}
    )
    try:
        address = _ready_address(process, begun + START_SECONDS)
        yield Server(address, psutil.Process(process.pid), time.perf_counter() - begun)
        process.terminate()
        if process.wait(STOP_SECONDS) != 0:
            raise RuntimeError(f"the server ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()


def _ready_address(process: subprocess.Popen[str], deadline: float) -> str:
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
    said = []
    while (left := deadline - time.perf_counter()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            break
        if line is None:
            break
        said.append(line)
        if found := re.search(r"ready at (\S+)", line):
            return found[1]
    raise RuntimeError("the server was not ready:\n" + "".join(said[-20:]))


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Reads to the end, so that the server never waits for its output to be read."""
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)
