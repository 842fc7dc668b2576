"""What learns in a run, as its checkpoints keep it: parameters, what the optimiser knows of them, their average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from dina_lrm.runs.checkpoints.kept import Kept
from dina_lrm.runs.checkpoints.stored import (
    Checkpoint,
    checkpoint_folder,
    complete_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    prune_checkpoints,
)
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.places import check_room
from dina_lrm.runs.processes import Processes
from dina_lrm.runs.sharding import own_rows, shared_out_like
from dina_lrm.screen import bytes_text
from dina_lrm.typed import DinaError

_UPDATES: Final = "ema_updates"


@dataclass(frozen=True)
class CheckpointSize:
    """Bytes of the parts of a checkpoint. What is frozen is in none of them."""

    weights: int
    moments: int
    average: int
    more: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.moments + self.average + self.more

    @property
    def told(self) -> str:
        """The whole and its parts, in words."""
        parts = {"weights": self.weights, "moments": self.moments, "average": self.average, "more": self.more}
        said = ", ".join(f"{part} {bytes_text(size)}" for part, size in parts.items() if size)
        return f"{bytes_text(self.total)} ({said})"


@dataclass(frozen=True, eq=False)
class Learning:
    """Parameters by name, their optimiser, and their moving average where there is one.

    `more` is what else updates change, in groups by name, as tensors by name: they are stored as they are then, and
    written in place.
    """

    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None = None
    more: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)

    def checkpoint(self, step: int, values: Mapping[str, Any]) -> Checkpoint:
        """The complete state after `step` steps, with the run's own plain `values`."""
        tensors: dict[str, Mapping[str, Tensor]] = {
            "weights": {name: parameter.detach() for name, parameter in self.parameters.items()},
            "optimizer": optimizer_tensors(self.optimizer, self._names()),
            **self.more,
        }
        updates = 0
        if self.average is not None:
            tensors["ema"], updates = self.average.state_dict(), self.average.updates
        return Checkpoint(step, tensors, {**values, _UPDATES: updates})

    def size(self) -> CheckpointSize:
        """What its checkpoints take, over all processes; before the first step that of AdamW's two moments is taken."""
        weights = sum(each.numel() * each.element_size() for each in self.parameters.values())
        known = optimizer_tensors(self.optimizer, self._names()).values()
        moments = sum(each.numel() * each.element_size() for each in known) or 2 * weights
        average = 0 if self.average is None else 4 * sum(each.numel() for each in self.parameters.values())
        more = sum(each.numel() * each.element_size() for group in self.more.values() for each in group.values())
        return CheckpointSize(weights, moments, average, more)

    def check_room(self, folder: Path) -> CheckpointSize:
        """The size, once there is room for two checkpoints beside what lies in `folder`: one stays until the next is.

        Raises ValueError with what is free.
        """
        size = self.size()
        stored = [file.stat().st_size for path in complete_checkpoints(folder) for file in path.iterdir()]
        check_room(folder, max(0, 2 * size.total - sum(stored)), f"two checkpoints of {size.told}")
        return size

    def resume(
        self,
        folder: Path,
        kept: Kept,
        processes: Processes | None = None,
        told: Callable[[Checkpoint | None], None] = lambda found: None,
    ) -> Checkpoint | None:
        """Go on from the newest whole checkpoint in `folder`, or from the start where there is none.

        Returns the checkpoint; `told` gets it before anything is put back. What is not to be `kept` goes, once all
        `processes` of the run have read theirs: each reads what it holds, however many there are and were.
        Raises ValueError as `newest_checkpoint` and `restore`, and where a process does not see what the main one does.
        """
        found = newest_checkpoint(folder) if processes is None else _newest_of_all(folder, processes)
        told(found)
        if found is None:
            return None
        self.restore(found)
        if processes is not None:
            processes.wait()
        if processes is None or processes.main:
            prune_checkpoints(folder, kept, found.step)
        return found

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> None:
        """Put back what `checkpoint` gave; ValueError when the checkpoint's parameters are not these."""
        weights = checkpoint.group("weights")
        shapes = {name: parameter.shape for name, parameter in self.parameters.items()}
        different = sorted(set(weights) ^ set(shapes))
        different = different or [name for name, shape in shapes.items() if weights[name].shape != shape]
        if different:
            raise DinaError(f"checkpoint of step {checkpoint.step}: trained parameters differ, first {different[0]!r}")
        for name, parameter in self.parameters.items():
            own_rows(parameter).copy_(own_rows(shared_out_like(weights[name], parameter)))
        restore_optimizer(self.optimizer, self._names(), checkpoint.group("optimizer"))
        for group, tensors in self.more.items():
            _write_into(tensors, checkpoint.group(group), f"checkpoint of step {checkpoint.step}: {group}")
        if self.average is not None:
            checkpoint = _with_average(checkpoint)
            self.average.load_state_dict(checkpoint.group("ema"), checkpoint.value(_UPDATES, int))

    def _names(self) -> dict[int, str]:
        return {id(parameter): name for name, parameter in self.parameters.items()}


def _newest_of_all(folder: Path, processes: Processes) -> Checkpoint | None:
    """What the main process finds and verifies, on all of them."""
    found, fault = None, None
    if processes.main:
        try:
            found = newest_checkpoint(folder)
        except ValueError as error:
            fault = str(error)
    step = processes.agree(None if found is None else str(found.step))
    if not processes.main and step is not None:
        try:
            found = load_checkpoint(checkpoint_folder(folder, int(step)), verified=False)
        except ValueError as error:
            fault = f"process {processes.index} does not see what the first one does ({error})"
    faults = [said for said in processes.all_said(fault) if said is not None]
    if faults:
        raise DinaError(faults[0])
    return found


def _write_into(tensors: Mapping[str, Tensor], stored: Mapping[str, Tensor], where: str) -> None:
    different = sorted(set(stored) ^ set(tensors)) or [
        name for name in tensors if stored[name].shape != tensors[name].shape
    ]
    if different:
        raise DinaError(f"{where}: its tensors differ, first {different[0]!r}")
    for name, tensor in tensors.items():
        tensor.copy_(stored[name])


def _with_average(state: Checkpoint) -> Checkpoint:
    """A checkpoint of an earlier version, which had the average by another name and an update of it in each step."""
    if "average" not in state.tensors:
        return state
    tensors = {**state.tensors, "ema": state.group("average")}
    return replace(state, tensors=tensors, values={**state.values, _UPDATES: state.step})


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
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    known = {names[id(parameter)]: parameter for parameter in ordered}
    by_name: dict[str, dict[str, Tensor]] = {}
    for key in tensors:
        name, entry = key.rsplit("/", 1)
        if name not in known:
            raise DinaError(f"optimizer state: no trained parameter is named {name!r}")
        # A copy: tensors read from a file may still be mapped to it
        by_name.setdefault(name, {})[entry] = shared_out_like(tensors[key], known[name]).clone()
    plain = optimizer.state_dict()
    plain["state"] = {index: by_name[name] for index, name in enumerate(known) if name in by_name}
    optimizer.load_state_dict(plain)
