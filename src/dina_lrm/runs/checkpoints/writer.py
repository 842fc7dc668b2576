"""Checkpoints that are written while the run goes on.

    with CheckpointWriter(folder, Kept(last=3), processes) as writer:
        for step in steps:
            ...
            writer.save(learning.checkpoint(step, values))

`save` copies what learns into main memory and returns; a thread writes, flushes and renames it. The next `save`, and
the end of the block, wait for the one before. A kill while it writes leaves the one before, and litter that goes.

Where every process holds all weights, the main one writes. Where they hold them together, each writes its rows beside
those of the others into one folder, which must be the same for all of them; it takes its name when the last is done.
What went wrong on one process is an error on all.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar, final

from dina_lrm.runs.checkpoints.groups import part_suffix
from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import (
    Checkpoint,
    StoredFile,
    checkpoint_folder,
    keep_checkpoint,
    prune_checkpoints,
    seal,
    write_groups,
)
from dina_lrm.runs.files import flush, folder_replaced_when_complete
from dina_lrm.runs.processes import Aside, Processes
from dina_lrm.runs.sharding import is_shared_out, own_rows
from dina_lrm.typed import DinaError

Value = TypeVar("Value")


@final
class CheckpointWriter:
    """Writes the checkpoints of one run; `processes` are those of the run, None where there is one."""

    def __init__(self, folder: Path, kept: Kept, processes: Processes | None = None) -> None:
        self._folder, self._kept = folder, kept
        self._index, self._count = (0, 1) if processes is None else (processes.index, processes.count)
        together = processes is not None and processes.sharding is not None
        self._aside = processes.aside() if processes is not None and together else None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Begin to write it, once the one before is written. Raises what was wrong with that one.

        Every process of the run calls this alike, with the same step.
        """
        self.wait()
        if self._aside is None and self._index > 0:
            return
        state = _in_main_memory(checkpoint, self._index)
        self._pending = self._pool.submit(self._write, state)

    def wait(self) -> None:
        """Until what was begun is written. Raises OSError or ValueError where it could not be."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except (OSError, ValueError, RuntimeError) as fault:
            if error is None:
                raise
            error.add_note(f"and the last checkpoint could not be written: {fault}")
        finally:
            self._pool.shutdown()

    def _write(self, checkpoint: Checkpoint) -> None:
        if self._aside is None:
            keep_checkpoint(self._folder, checkpoint, self._kept)
        else:
            self._write_together(checkpoint, self._aside)

    def _write_together(self, checkpoint: Checkpoint, aside: Aside) -> None:
        """The main process makes the folder; all write their rows; it takes its name when the last is done."""
        with ExitStack() as stack:

            def make() -> str | None:
                target = checkpoint_folder(self._folder, checkpoint.step)
                return str(stack.enter_context(folder_replaced_when_complete(target))) if self._index == 0 else None

            place = Path(str(_told(aside, make)[0]))
            parts = _told(aside, lambda: self._rows(place, checkpoint))

            def finish() -> None:
                if self._index == 0:
                    seal(place, checkpoint, {name: file for part in parts for name, file in part.items()})
                    stack.close()
                    prune_checkpoints(self._folder, self._kept, checkpoint.step)

            _told(aside, finish)

    def _rows(self, folder: Path, checkpoint: Checkpoint) -> dict[str, StoredFile]:
        if not folder.is_dir():
            raise DinaError(
                f"{folder}: process {self._index} does not see it; accepted: a folder that all machines share"
            )
        written = write_groups(folder, checkpoint.tensors, part_suffix(self._index, self._count))
        flush(folder)
        return written


def _told(aside: Aside, work: Callable[[], Value]) -> list[Value]:
    """What `work` gave on each process. ValueError on all where it failed on one, there the error itself."""
    value, fault = None, None
    try:
        value = work()
    except Exception as error:
        fault = error
    found = aside.exchange((value, None if fault is None else f"{type(fault).__name__}: {fault}"))
    if fault is not None:
        raise fault
    faults = [f"process {index}: {told}" for index, (_, told) in enumerate(found) if told is not None]
    if faults:
        raise DinaError(f"the checkpoint could not be written: {'; '.join(faults)}")
    return [given for given, _ in found]


def _in_main_memory(checkpoint: Checkpoint, index: int) -> Checkpoint:
    """A copy that goes on as it is while the weights learn: own rows, and what nobody shares of the first process."""
    groups = {
        group: {
            name: own_rows(tensor).to("cpu", copy=True)
            for name, tensor in tensors.items()
            if index == 0 or is_shared_out(tensor)
        }
        for group, tensors in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=groups)
