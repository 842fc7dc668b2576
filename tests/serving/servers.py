"""A real server in a process of its own."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(program: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of `dina-lrm serve` with these options on a free port, and its process; ended by SIGTERM."""
    command = [str(program), "serve", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"ready at (\S+)", line):
                    yield found[1], process
                    break
            else:
                raise AssertionError("".join(said))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)
