"""Checkpoints of a run: whole, atomic, verified, without pickle.

    checkpoints/step-N/
        weights.safetensors    the trained parameters by name
        optimizer.safetensors  moments and counts, `<parameter>/<entry>`
        ema.safetensors        the moving average by parameter name
        state.json             step, config, data fingerprint, size and SHA-256 of every file; written last

A checkpoint takes its name when it is complete and on disk. What is read back is compared with the hashes, so that a
flipped bit is an error and not other weights (older checkpoints have sizes alone). There is no generator state to keep:
all randomness is a function of (seed, step).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

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
Value = TypeVar("Value")


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
class _Stored:
    bytes: int
    sha256: str | None = None


@dataclass(frozen=True)
class _State:
    """What state.json holds; a size alone is of an earlier version."""

    step: int
    files: dict[str, _Stored | int]
    values: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` as `folder/step-N`, atomically, and return its path; an earlier one of that step gives way."""
    target = folder / f"step-{checkpoint.step}"
    with folder_replaced_when_complete(target) as temporary:
        for group, tensors in checkpoint.tensors.items():
            save_tensors(temporary / f"{group}.safetensors", tensors)
        files: dict[str, _Stored | int] = {
            path.name: _Stored(path.stat().st_size, content_of(path)) for path in sorted(temporary.iterdir())
        }
        write_json(temporary / STATE_FILE, to_plain(_State(checkpoint.step, files, dict(checkpoint.values))))
    return target


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint; raises `ValueError` naming the file that is missing, cut off or not what was written."""
    state = _state(path)
    for name, stored in state.files.items():
        sha256 = None if isinstance(stored, int) else stored.sha256
        if sha256 is not None and content_of(path / name) != sha256:
            raise DinaError(f"{path}: not a whole checkpoint: {name} is not what was written (its SHA-256 differs)")
    groups = {Path(name).stem: _tensors(path / name, device) for name in state.files}
    return Checkpoint(state.step, groups, state.values, path)


def complete_checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run whose files are there in their sizes, oldest first; their content is not read."""
    return [path for path in _all_checkpoints(folder) if _is_complete(path)]


def newest_values(folder: Path) -> dict[str, Any] | None:
    """The plain values of the newest complete checkpoint, without its tensors; None where there is none."""
    complete = complete_checkpoints(folder)
    return _state(complete[-1]).values if complete else None


def keep_checkpoint(folder: Path, checkpoint: Checkpoint, keep_last: int) -> None:
    """Save what the run has reached in `folder`; but for the `keep_last` newest checkpoints, earlier ones go."""
    save_checkpoint(folder, checkpoint)
    prune_checkpoints(folder, keep_last, checkpoint.step)


def prune_checkpoints(folder: Path, keep_last: int, newest: int | None = None) -> None:
    """Delete all but the `keep_last` newest complete checkpoints, and what a killed writer left.

    `newest` is the step that the run has reached: a checkpoint of a later one was passed over as damaged, and goes.
    Called after each saving, and when a run goes on: it may have been killed between the two.
    """
    complete = complete_checkpoints(folder)
    late = [path for path in _all_checkpoints(folder) if newest is not None and _step_of(path) > newest]
    for path in [*[path for path in complete if path not in late][:-keep_last], *late]:
        aside = temporary_name(path)
        os.replace(path, aside)  # so that a kill leaves a whole checkpoint or litter, and never half of one
        shutil.rmtree(aside)
    _clear(folder)


def newest_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The newest whole checkpoint in `folder`, or None where there is no checkpoint at all.

    Raises ValueError where there are only damaged ones: to begin again over them would throw the run away.
    """
    _recover(folder)
    damaged: list[str] = []
    for path in reversed(_all_checkpoints(folder)):
        try:
            return replace(load_checkpoint(path, device), passed_over=tuple(damaged))
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


def _tensors(path: Path, device: torch.device | str) -> dict[str, Tensor]:
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise DinaError(f"{path}: no readable safetensors file: {error}") from error


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
