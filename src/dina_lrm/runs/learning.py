"""What learns in a run, as its checkpoints keep it: parameters, what the optimiser knows of them, their average."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from dina_lrm.runs.checkpoints import Checkpoint, newest_checkpoint, prune_checkpoints
from dina_lrm.runs.moving_average import MovingAverage
from dina_lrm.runs.processes import Processes
from dina_lrm.typed import DinaError

_UPDATES: Final = "ema_updates"


@dataclass(frozen=True, eq=False)
class Learning:
    """Parameters by name, their optimiser, and their moving average where there is one."""

    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None = None

    def checkpoint(self, step: int, values: Mapping[str, Any]) -> Checkpoint:
        """The complete state after `step` steps, with the run's own plain `values`."""
        tensors: dict[str, Mapping[str, Tensor]] = {
            "weights": {name: parameter.detach() for name, parameter in self.parameters.items()},
            "optimizer": optimizer_tensors(self.optimizer, self._names()),
        }
        updates = 0
        if self.average is not None:
            tensors["ema"], updates = self.average.state_dict(), self.average.updates
        return Checkpoint(step, tensors, {**values, _UPDATES: updates})

    def resume(
        self,
        folder: Path,
        keep_last: int,
        processes: Processes | None = None,
        told: Callable[[Checkpoint | None], None] = lambda found: None,
    ) -> Checkpoint | None:
        """Go on from the newest whole checkpoint in `folder`, or from the start where there is none.

        Returns the checkpoint; `told` gets it before anything is put back. Others than the `keep_last` newest go, once
        all `processes` of the run have read theirs. Raises ValueError as `newest_checkpoint` and `restore`.
        """
        found = newest_checkpoint(folder, "cpu" if processes is None else processes.device)
        told(found)
        if found is None:
            return None
        self.restore(found)
        if processes is not None:
            processes.wait()
        if processes is None or processes.main:
            prune_checkpoints(folder, keep_last, found.step)
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
            parameter.copy_(weights[name])
        restore_optimizer(self.optimizer, self._names(), checkpoint.group("optimizer"))
        if self.average is not None:
            checkpoint = _with_average(checkpoint)
            self.average.load_state_dict(checkpoint.group("ema"), checkpoint.value(_UPDATES, int))

    def _names(self) -> dict[int, str]:
        return {id(parameter): name for name, parameter in self.parameters.items()}


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
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, entry = key.rsplit("/", 1)
        # A copy: tensors read from a file may still be mapped to it
        by_name.setdefault(name, {})[entry] = tensor.clone()
    order = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    unknown = sorted(set(by_name) - set(order))
    if unknown:
        raise DinaError(f"optimizer state: no trained parameter is named {unknown[0]!r}")
    plain = optimizer.state_dict()
    plain["state"] = {index: by_name[name] for index, name in enumerate(order) if name in by_name}
    optimizer.load_state_dict(plain)
