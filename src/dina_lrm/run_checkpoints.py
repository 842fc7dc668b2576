"""Checkpoints of a run: complete, atomic, without pickle.

    checkpoints/step-N/
        weights.safetensors    the trained parameters by name
        optimizer.safetensors  moments and counts, `<parameter>/<entry>`
        ema.safetensors        the moving average by parameter name
        state.json             step, config, data fingerprint, and the size of every file; written last

Everything is written under a temporary name, flushed to disk and renamed: a checkpoint that has its final name and
whose files have the recorded sizes is complete. There is no generator state to keep: all randomness is a function of
(seed, step).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

STATE_FILE = "state.json"
_NAME = re.compile(r"step-(\d+)")
_TEMPORARY = ".writing-"


@dataclass(frozen=True)
class Checkpoint:
    """A complete training state: groups of named tensors, and plain values."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    values: Mapping[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `checkpoint` as `folder/step-N`, atomically, and return its path."""
    target = folder / f"step-{checkpoint.step}"
    temporary = folder / f"{_TEMPORARY}step-{checkpoint.step}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for group, tensors in checkpoint.tensors.items():
        save_file(
            {name: t.detach().contiguous().cpu() for name, t in tensors.items()}, temporary / f"{group}.safetensors"
        )
    sizes = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
    state = {"step": checkpoint.step, "files": sizes, "values": checkpoint.values}
    (temporary / STATE_FILE).write_text(json.dumps(state, indent=2), encoding="utf-8")
    for path in (*temporary.iterdir(), temporary):
        _flush(path)
    if target.exists():  # the same step, saved again: the old one goes only when the new one is whole
        shutil.rmtree(target)
    os.replace(temporary, target)
    _flush(folder)
    return target


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint; raises `ValueError` when it is not complete, naming the file."""
    fault = _fault(path)
    if fault is not None:
        raise ValueError(f"{path}: not a complete checkpoint: {fault}")
    state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    groups = {Path(name).stem: load_file(path / name, device=str(device)) for name in state["files"]}
    return Checkpoint(state["step"], groups, state["values"])


def complete_checkpoints(folder: Path) -> list[Path]:
    """All complete checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and _fault(path) is None]
    return sorted(found, key=_step_of)


def prune_checkpoints(folder: Path, keep_last: int) -> None:
    """Delete all but the `keep_last` newest complete checkpoints, and what a killed writer left."""
    for path in complete_checkpoints(folder)[:-keep_last]:
        shutil.rmtree(path)
    for path in folder.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def newest_checkpoint(folder: Path, device: torch.device | str = "cpu") -> Checkpoint | None:
    """The newest complete checkpoint in `folder`, or None."""
    complete = complete_checkpoints(folder)
    return load_checkpoint(complete[-1], device) if complete else None


def learning_state(
    parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Mapping[str, Tensor]]:
    """The tensors of a checkpoint that every run has: trained parameters, and what the optimizer knows of them."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    return {
        "weights": {name: parameter.detach() for name, parameter in parameters.items()},
        "optimizer": optimizer_tensors(optimizer, names),
    }


@torch.no_grad()
def restore_learning_state(
    checkpoint: Checkpoint, parameters: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """Put back what `learning_state` gave; raises `ValueError` when the checkpoint's parameters are not these."""
    weights = checkpoint.tensors["weights"]
    different = sorted(set(weights) ^ set(parameters))
    if different:
        raise ValueError(f"checkpoint of step {checkpoint.step}: trained parameters differ, first {different[0]!r}")
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])
    names = {id(parameter): name for name, parameter in parameters.items()}
    restore_optimizer(optimizer, names, checkpoint.tensors["optimizer"])


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[int, str]) -> dict[str, Tensor]:
    """The optimizer's state as named tensors; `names` maps the `id` of a parameter to its name."""
    return {
        f"{names[id(parameter)]}/{entry}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for entry, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[int, str], tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave; raises `ValueError` for a parameter the optimizer does not have."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, entry = key.rsplit("/", 1)
        # A copy: tensors read from a file may still be mapped to it
        by_name.setdefault(name, {})[entry] = tensor.clone()
    order = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    unknown = sorted(set(by_name) - set(order))
    if unknown:
        raise ValueError(f"optimizer state: no trained parameter is named {unknown[0]!r}")
    plain = optimizer.state_dict()
    plain["state"] = {index: by_name[name] for index, name in enumerate(order) if name in by_name}
    optimizer.load_state_dict(plain)


def _step_of(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match.group(1))


def _fault(path: Path) -> str | None:
    state_file = path / STATE_FILE
    if not state_file.is_file():
        return f"{STATE_FILE} is missing"
    try:
        sizes = json.loads(state_file.read_text(encoding="utf-8"))["files"]
    except (json.JSONDecodeError, KeyError):
        return f"{STATE_FILE} is cut off"
    for name, size in sizes.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size:
            return f"{name} is missing or cut off"
    return None


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder to flush it
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
