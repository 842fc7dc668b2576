"""Worker processes that never outlive the process that started them, and a way to end them all at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from dina_lrm.runs.workers import worker_context

Result = TypeVar("Result")


class Stopped(RuntimeError):
    """A worker was asked to stop, which ends the whole run."""


@contextmanager
def worker_pool(workers: int, *modules: str) -> Iterator[ProcessPoolExecutor]:
    """Processes for jobs, which have imported `modules` and end when this process does, however it ends.

    When the block is left by an exception the jobs under way are given up at once. SIGTERM in the block is a
    KeyboardInterrupt, so that what is to be tidied up is. A signal to a worker ends it, and with it the pool.
    """
    context = worker_context(*modules)
    # Nothing is ever sent: the workers' end of the pipe reads as closed when ours is, by us or by our death
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with, initargs=(theirs,))
    try:
        with terminated_as_interrupted():
            # The pool watches the workers that it knew when it last had a result: before the first one, a worker could
            # die unseen
            for started in [pool.submit(os.getpid) for _ in range(workers)]:
                started.result()
            yield pool
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


@dataclass(frozen=True)
class PoolJob(Generic[Result]):
    """Work for a process of its own."""

    name: str
    work: Callable[[], Result]
    """Runs there, so that it can be pickled."""
    told: Callable[[Result], str] = str
    """Runs here: keeps what came of it, where the work has not, and says it in a line."""


def default_workers() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collected(
    jobs: Mapping[Future[Result], PoolJob[Result]],
    done: int,
    total: int,
    say: Callable[[str], None],
    report: Callable[[int, int], None],
) -> list[BaseException]:
    """Wait for jobs, say what each tells of its result or why it failed; returns the failures.

    `done` of `total` jobs were there before; `report` gets (jobs done, jobs).

    Raises:
        Stopped: when a worker was told to stop, or died.
    """
    failures: list[BaseException] = []
    for job in as_completed(jobs):
        error, name = job.exception(), jobs[job].name
        if isinstance(error, Stopped | BrokenProcessPool):
            raise Stopped(f"{name}: {error}; the same command goes on") from error
        if error is None:
            done += 1
            say(jobs[job].told(job.result()))
        else:
            failures.append(error)
            say(f"{name}: failed: {error}")
        report(done, total)
    return failures


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the block, as Ctrl-C does; signals reach the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_with(parent: Connection) -> None:
    """Run in each worker: end when the parent's end of the pipe is closed, and on a signal, without a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(1))

    def watch() -> None:
        wait([parent])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
