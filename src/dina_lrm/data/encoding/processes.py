"""Several writers of one cache on this machine: processes that each load the encoders and share the work by claims.

A writer that dies is said, and what it was at is made by the others; where none is left the encoding ends with an
error, and goes on when it is given again.
"""

from __future__ import annotations

import os
import queue
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from typing import TYPE_CHECKING, Final

import torch

from dina_lrm.data.encoding.writing import Writing, write_shards
from dina_lrm.runs.workers import PIPELINES, worker_context
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_Said = tuple[int, int | str]
"""What a writer says: its number, and rows that were encoded or why it stops."""
_LOOK: Final = 0.5
"""Seconds between two looks at whether all writers live."""


class WriterDiedWarning(UserWarning):
    """A writer of a cache ended before all was made; the others go on with its shards."""


@dataclass(frozen=True)
class Several:
    """`count` writers, processes that make their encoders by `loaded`, told which of them they are (from 0).

    `loaded` is sent to them. The threads of this process are divided among them.
    """

    count: int
    loaded: Callable[[int], Backbone]

    def __call__(self, backbone: Backbone, writing: Writing, report: Callable[[int], None]) -> None:
        """Make all shards. `backbone` is that of this process, which encodes nothing.

        Raises ValueError for what a writer refuses, and where none of them lives to the end.
        """
        context = worker_context("dina_lrm.data.encoding.processes", *PIPELINES)
        said: Queue[_Said] = context.Queue()
        threads = max(torch.get_num_threads() // self.count, 1)
        writers = [
            context.Process(  # type: ignore[attr-defined]  # every context has one
                target=_write, args=(number, self.loaded, writing, threads, said), daemon=True
            )
            for number in range(self.count)
        ]
        for writer in writers:
            writer.start()
        try:
            _watch(writers, said, report, writing)
        finally:
            for writer in writers:
                writer.terminate()
                writer.join()


def _watch(writers: list[BaseProcess], said: Queue[_Said], report: Callable[[int], None], writing: Writing) -> None:
    """Until all writers ended: pass on what they did; raise what one of them raised."""
    living = dict(enumerate(writers))
    while living:
        _listen(said, report)
        for number, writer in list(living.items()):
            if writer.exitcode is None:
                continue
            del living[number]
            _listen(said, report)
            if writer.exitcode:
                told = f"writer {number} of {len(writers)} ended by itself ({_how(writer.exitcode)})"
                if not living:
                    raise DinaError(
                        f"{writing.folder}: {told}, and none is left; what was made stays: give the command again to "
                        "go on, with fewer processes if memory was short"
                    )
                warnings.warn(f"{told}; the others make its shards", WriterDiedWarning, stacklevel=3)


def _listen(said: Queue[_Said], report: Callable[[int], None]) -> None:
    """Pass on what writers said; wait a moment for the first of it. Raises ValueError where one says why it stops."""
    seconds = _LOOK
    while True:
        try:
            _, told = said.get(timeout=seconds)
        except queue.Empty:
            return
        if isinstance(told, str):
            raise DinaError(told)
        report(told)
        seconds = 0.0


def _how(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _write(number: int, loaded: Callable[[int], Backbone], writing: Writing, threads: int, said: Queue[_Said]) -> None:
    """What a writer does."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        write_shards(loaded(number), writing, lambda rows: said.put((number, rows)), number)
    except (ValueError, OSError) as error:
        said.put((number, str(error) or type(error).__name__))
    finally:
        said.close()
        said.join_thread()  # so that all of it is said


def _end_with_parent() -> None:
    """End this process when whoever watches it was killed: it holds the folder no more."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
