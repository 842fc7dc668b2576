"""A real server in a process of its own."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Running:
    """A server that is ready: where it is asked, where pickles are sent, its process, and what it said so far."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    address: str = ""
    pickles: str = ""

    def listen(self) -> None:
        """Read lines until it is ready."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if found := re.search(r"(ready|pickles) at (\S+)", line):
                setattr(self, "address" if found[1] == "ready" else "pickles", found[2])
            if self.address:
                return
        raise AssertionError("".join(self.said))

    def end(self) -> int:
        """Send SIGTERM, and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.said += self.process.stdout
        return self.process.wait(60)


@contextmanager
def listening(program: Path, *words: str) -> Iterator[Running]:
    """`dina-lrm serve` with these options on a free port; ended by SIGTERM."""
    command = [str(program), "serve", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        server = Running(process)
        try:
            server.listen()
            yield server
        finally:
            server.end()


@contextmanager
def running(program: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of such a server, and its process."""
    with listening(program, *words) as server:
        yield server.address, server.process
