"""Workers end when the process that started them does, however that is killed; a worker's end is the end of the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@contextmanager
def started(workers: int = 2) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process in a group of its own, and the ids of its workers at work."""
    command = [sys.executable, "-m", "tests.experiments.orphaning", str(workers)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        pids = [int(process.stdout.readline()) for _ in range(workers)]
        try:
            yield process, pids
        finally:
            for pid in (process.pid, *pids):
                if is_there(pid):
                    os.kill(pid, signal.SIGKILL)


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def all_gone(pids: list[int]) -> bool:
    until = time.monotonic() + 60
    while any(map(is_there, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(is_there, pids))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_the_process(number: signal.Signals) -> None:
    with started() as (process, pids):
        assert all(map(is_there, pids))
        process.send_signal(number)
        assert process.wait(60) != 0
        assert all_gone(pids)


def test_ctrl_c_reaches_all_and_only_the_process_speaks() -> None:
    with started() as (process, pids):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert all_gone(pids)
        assert errors.count("Traceback") <= 1 and "KeyboardInterrupt" in errors


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_end_of_a_worker_is_the_end_of_the_pool(number: signal.Signals) -> None:
    with started() as (process, pids):
        os.kill(pids[0], number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "BrokenProcessPool" in errors
        assert all_gone(pids)
