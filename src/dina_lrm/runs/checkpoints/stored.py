"""Checkpoints of a run: whole, atomic, verified, without pickle.

    checkpoints/step-N/
        weights.safetensors    the trained parameters by name
        optimizer.safetensors  moments and counts, `<parameter>/<entry>`
        ema.safetensors        the moving average by parameter name
        state.json             step, config, data fingerprint, size and SHA-256 of every file; written last

What is frozen is in none of them. Where processes hold the weights together (`sharding.py`), each writes its rows into
files of its own, `weights-00002-of-00004.safetensors`: the rows in the order of the files are the tensor, which any
number of processes reads.

A checkpoint takes its name when it is complete and on disk. What is read back is compared with the hashes, so that a
flipped bit is an error and not other weights (older checkpoints have sizes alone). There is no generator state to keep:
all randomness is a function of (seed, step).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from torch import Tensor

from dina_lrm.runs.checkpoints.groups import StoredGroup, group_of
from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import (
    clear_litter,
    folder_replaced_when_complete,
    recover_folder,
    save_tensors,
    temporary_name,
    write_json,
)
from dina_lrm.runs.json_files import read_record
from dina_lrm.typed import DinaError, to_plain

STATE_FILE: Final = "state.json"
_NAME: Final = re.compile(r"step-(\d+)")
_OLD_LITTER: Final = ".writing-*"
"""What killed writers of earlier versions left."""
MEASURED: Final = "validation"
"""Where the values of a checkpoint hold what was measured at its step."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class StoredFile:
    """What a checkpoint says of one of its files."""

    bytes: int
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path) -> StoredFile:
        """Of the file as it is."""
        return cls(path.stat().st_size, content_of(path))


@dataclass(frozen=True)
class Checkpoint:
    """A complete training state: groups of named tensors, and plain values."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    values: Mapping[str, Any]
    path: Path | None = None
    """Where it was read from."""
    passed_over: tuple[str, ...] = ()
    """Set by `newest_checkpoint`: what is wrong with newer ones, each in a sentence."""

    def group(self, name: str) -> Mapping[str, Tensor]:
        """Tensors by name; ValueError where the checkpoint has none of that group."""
        if name not in self.tensors:
            raise DinaError(f"{self._where}: has no {name}; it holds {', '.join(self.tensors) or 'nothing'}")
        return self.tensors[name]

    def value(self, name: str, kind: type[Value]) -> Value:
        """A plain value; ValueError naming the file and the key where it is missing or of another kind."""
        found = self.values.get(name)
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            raise DinaError(f"{self._where}: values.{name} is {found!r}; accepted: a value of type {kind.__name__}")
        return found

    @property
    def _where(self) -> str:
        return f"checkpoint of step {self.step}" if self.path is None else str(self.path / STATE_FILE)


@dataclass(frozen=True)
class _State:
    """What state.json holds; a size alone is of an earlier version."""

    step: int
    files: dict[str, StoredFile | int]
    values: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` as `folder/step-N`, atomically, and return its path; an earlier one of that step gives way."""
    target = checkpoint_folder(folder, checkpoint.step)
    with folder_replaced_when_complete(target) as temporary:
        seal(temporary, checkpoint, write_groups(temporary, checkpoint.tensors))
    return target


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"step-{step}"


def write_groups(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], suffix: str = "") -> dict[str, StoredFile]:
    """Write a file for each group, its name ending in `suffix`; what is to be said of them."""
    written = {f"{group}{suffix}.safetensors": own for group, own in tensors.items()}
    for name, own in written.items():
        save_tensors(folder / name, own)
    return {name: StoredFile.of(folder / name) for name in written}


def seal(folder: Path, checkpoint: Checkpoint, files: Mapping[str, StoredFile]) -> None:
    """Say what a checkpoint holds, once all its files are written: without this it is none."""
    write_json(
        folder / STATE_FILE, to_plain(_State(checkpoint.step, dict(sorted(files.items())), dict(checkpoint.values)))
    )


def load_checkpoint(path: Path, verified: bool = True) -> Checkpoint:
    """Read a checkpoint; raises `ValueError` naming the file that is missing, cut off or not what was written.

    Tensors are read when they are asked for. Not `verified`, hashes are not compared: another process does.
    """
    state = _state(path)
    for name, stored in state.files.items() if verified else ():
        sha256 = None if isinstance(stored, int) else stored.sha256
        if sha256 is not None and content_of(path / name) != sha256:
            raise DinaError(f"{path}: not a whole checkpoint: {name} is not what was written (its SHA-256 differs)")
    groups: dict[str, list[Path]] = {}
    for name in sorted(state.files):
        groups.setdefault(group_of(name), []).append(path / name)
    tensors = {group: StoredGroup(files) for group, files in groups.items()}
    return Checkpoint(state.step, tensors, state.values, path)


def complete_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run whose files are there in their sizes, oldest first; their content is not read."""
    return [path for path in _all_checkpoints(folder) if _is_complete(path)]


def newest_values(folder: Path) -> dict[str, Any] | None:
    """The plain values of the newest complete checkpoint, without its tensors; None where there is none."""
    complete = complete_checkpoints(folder)
    return _state(complete[-1]).values if complete else None


def keep_checkpoint(folder: Path, checkpoint: Checkpoint, kept: Kept) -> None:
    """Save what the run has reached in `folder`; what is not to be kept goes."""
    save_checkpoint(folder, checkpoint)
    prune_checkpoints(folder, kept, checkpoint.step)


def prune_checkpoints(folder: Path, kept: Kept, newest: int | None = None) -> None:
    """Delete complete checkpoints that are not to be kept, and what a killed writer left.

    `newest` is the step that the run has reached: a checkpoint of a later one was passed over as damaged, and goes.
    Called after each saving, and when a run goes on: it may have been killed between the two.
    """
    complete = complete_checkpoints(folder)
    late = [path for path in _all_checkpoints(folder) if newest is not None and _step_of(path) > newest]
    reached = [path for path in complete if path not in late]
    stay = {*reached[-kept.last :], *_best(reached, kept)}
    for path in [*[path for path in reached if path not in stay], *late]:
        aside = temporary_name(path)
        os.replace(path, aside)  # so that a kill leaves a whole checkpoint or litter, and never half of one
        shutil.rmtree(aside)
    _clear(folder)


def is_among_the_best(folder: Path, kept: Kept, step: int, measured: Mapping[str, Any]) -> bool:
    """Whether a checkpoint of `step`, at which this was measured, would be one of the best so far."""
    rank = kept.rank(measured)
    if rank is None or kept.best == 0:
        return False
    earlier = [path for path in complete_checkpoints(folder) if _step_of(path) < step]
    found = [kept.rank(_measured(path)) for path in _best(earlier, kept)]
    return len(found) < kept.best or any(other is not None and rank < other for other in found)


def _best(paths: Sequence[Path], kept: Kept) -> list[Path]:
    ranked = [(rank, _step_of(path), path) for path in paths if (rank := kept.rank(_measured(path))) is not None]
    return [path for _, _, path in sorted(ranked)[: kept.best]]


def _measured(path: Path) -> Mapping[str, Any]:
    found = _state(path).values.get(MEASURED)
    return found if isinstance(found, Mapping) else {}


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint in `folder`, or None where there is no checkpoint at all.

    Raises ValueError where there are only damaged ones: to begin again over them would throw the run away.
    """
    _recover(folder)
    damaged: list[str] = []
    for path in reversed(_all_checkpoints(folder)):
        try:
            return replace(load_checkpoint(path), passed_over=tuple(damaged))
        except ValueError as error:
            damaged.append(str(error))
    if damaged:
        raise DinaError(
            f"{folder}: no checkpoint is whole ({'; '.join(damaged)}); bring one back, or start in another folder"
        )
    return None


def resumption(checkpoint: Checkpoint | None, what: str = "step") -> str:
    """From where a run goes on, and what was passed over, in a sentence."""
    if checkpoint is None:
        return f"nothing to go on from: there is no checkpoint yet; begins at {what} 0"
    return "; ".join([*checkpoint.passed_over, f"goes on from {what} {checkpoint.step}"])


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match.group(1))


def _all_checkpoints(folder: Path) -> list[Path]:
    """Whatever has the name of a checkpoint, oldest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_step_of)


def _state(path: Path) -> _State:
    """The checkpoint's own record, once its files are there in their sizes; ValueError naming what is wrong."""
    try:
        state = read_record(_State, path / STATE_FILE)
    except FileNotFoundError:
        raise DinaError(f"{path}: not a whole checkpoint: {STATE_FILE} is missing") from None
    if state.step != _step_of(path):
        raise DinaError(f"{path}: not a whole checkpoint: {STATE_FILE} is of step {state.step}")
    for name, stored in state.files.items():
        if Path(name).name != name or Path(name).suffix != ".safetensors":
            raise DinaError(f"{path / STATE_FILE}: files has {name!r}; accepted: names of safetensors files beside it")
        file, size = path / name, stored if isinstance(stored, int) else stored.bytes
        if not file.is_file() or file.stat().st_size != size:
            raise DinaError(f"{path}: not a whole checkpoint: {name} is missing or cut off")
    return state


def _is_complete(path: Path) -> bool:
    try:
        _state(path)
    except ValueError:
        return False
    return True


def _recover(folder: Path) -> None:
    """Give back its name to a checkpoint that was being replaced by another of its step when the run was killed."""
    for aside in folder.glob(".dina-lrm.*.old"):
        try:
            recover_folder(folder / f"step-{read_record(_State, aside / STATE_FILE).step}")
        except (ValueError, FileNotFoundError):
            shutil.rmtree(aside, ignore_errors=True)


def _clear(folder: Path) -> None:
    for path in folder.glob(_OLD_LITTER):
        shutil.rmtree(path, ignore_errors=True)
    clear_litter(folder)
