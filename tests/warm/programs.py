"""The two programs that hand their words to a server, and the server's life."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dina_lrm.console.run import QUIET_LIBRARIES

ROOT = Path(__file__).parents[2]


@contextmanager
def programs(interpreter: Path = Path(sys.executable)) -> Iterator[Path]:
    """A folder with the programs `python` and `dina-lrm` of an interpreter's environment, which work while entered."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:  # a socket's name must be short
        place = Path(folder)
        dina_lrm = interpreter.with_name("dina-lrm")
        for name, words in {"python": [], "dina-lrm": [dina_lrm]}.items():
            client = [sys.executable, "-I", "-S", Path(__file__).with_name("client.py"), place / "socket", *words]
            (place / name).write_text(f'#!/bin/sh\nexec {shlex.join(map(str, client))} "$@"\n')
            (place / name).chmod(0o755)
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **QUIET_LIBRARIES, "HF_HUB_OFFLINE": "1"}
        command = [interpreter, Path(__file__).with_name("server.py"), place / "socket"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as server:
            assert server.stdout is not None and server.stdin is not None
            assert server.stdout.readline() == "ready\n", "the server of warm commands did not start"
            yield place
            server.stdin.close()
