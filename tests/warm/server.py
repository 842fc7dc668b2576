"""One process that has imported what commands import, and forks for each: `python server.py SOCKET`.

It ends when the socket that it listens on is shut from outside: at the end of its standard input.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import dina_lrm

LIBRARIES = (
    "diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3", "diffusers.loaders.peft", "datasets",
    "matplotlib.figure", "scipy.stats", "torch.distributed.run", "torch.utils.tensorboard",
)  # fmt: skip
"""What takes long to import, and is imported by no module of the package before it is needed."""


def serve(place: str) -> Callable[[], None]:
    """Fork for each command; returns, in the fork, what runs it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                os._exit(0)
            client, _ = listener.accept()
            with client:
                if os.fork() == 0:
                    listener.close()
                    return begun(client)


def reap(*_: object) -> None:
    """Keepers that have ended are waited for, so that their seconds count among those of the tests."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def begun(client: socket.socket) -> Callable[[], None]:
    """In the process of one command's keeper: begin it, tell the client its id, then how it ended.

    A client that goes away was killed, and so is its command. Returns in the command itself.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, *_ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(size, "big")))
    pid = os.fork()
    if pid == 0:
        client.close()
        return lambda: run(request["words"], request["folder"], request["environment"], streams)

    def kill_when_alone() -> None:
        client.recv(1)
        os.kill(pid, signal.SIGKILL)

    for stream in (0, 1, 2, *streams):
        os.close(stream)
    client.sendall(pid.to_bytes(8, "big"))
    threading.Thread(target=kill_when_alone, daemon=True).start()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    client.sendall(code.to_bytes(8, "big", signed=True))
    os._exit(0)


def run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """What `python WORDS` does, in this process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    take(streams)
    warn(environment.get("PYTHONWARNINGS", ""))
    words = words[1:] if words[0] == "-u" else words
    if words[0] == "-m":
        sys.path.insert(0, folder)
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] in ("-c", "-"):
        code, rest = (words[1], words[2:]) if words[0] == "-c" else (sys.stdin.read(), words[1:])
        sys.path.insert(0, "")
        sys.argv = [words[0], *rest]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(main))
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


def take(streams: list[int]) -> None:
    """These become standard input, output and error, in the encoding that the environment asks for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    asked, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    encoding = asked or None
    sys.stdin = sys.__stdin__ = open(0, encoding=encoding, errors=errors or None, closefd=False)
    sys.stdout = sys.__stdout__ = open(1, "w", encoding=encoding, errors=errors or None, closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)


def warn(options: str) -> None:
    """Filter warnings as an interpreter does that starts with `options` in PYTHONWARNINGS."""
    sys.warnoptions[:] = filter(None, options.split(","))
    warnings._processoptions(sys.warnoptions)  # type: ignore[attr-defined]


def main() -> Callable[[], None]:
    sys.path.pop(0)  # a command sees the packages that are installed, and its own folder
    modules = [found.name for found in pkgutil.walk_packages(dina_lrm.__path__, "dina_lrm.")]
    for name in (*LIBRARIES, *modules):
        if not name.endswith("__main__"):
            with suppress(ModuleNotFoundError):  # an extra that is not installed; commands import what they need
                importlib.import_module(name)
    os.fsync = os.fstat  # type: ignore[assignment]  # as in the process of the tests
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, reap)
    return serve(sys.argv[1])


def end_well(command: Callable[[], None]) -> NoReturn:
    """Run a command and end as the interpreter does, but for taking apart all that is imported: that takes longer than
    many a command. One that fails, or cannot say what it has to, ends in the usual way.
    """
    code: object = None
    try:
        command()
    except SystemExit as end:
        code = end.code
        if not (code is None or isinstance(code, int)):
            raise
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    own = vars(sys.modules["__main__"])
    if own is not globals():
        own.clear()  # files that it left open are written
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    end_well(main())
