"""Weights that the processes of a run hold together: each has some rows of every tensor, by torch's FSDP2.

A part of the model, a block of a transformer, is gathered when it runs and let go behind it; its gradients are averaged
into the rows that each process holds, and so are the optimiser's moments and the moving average. What nobody trains is
divided as well. The launch asks for it, by the words of `accelerate launch`:

| launch | weights between forward and backward |
|---|---|
| FSDP2 (`fsdp_version: 2`), `fsdp_reshard_after_forward: true`; DeepSpeed ZeRO-3 | let go, gathered again |
| the same with `false`; DeepSpeed ZeRO-2 | kept |

DeepSpeed's own engine does not run: its stages are these two, its optimiser state is pickled and bound to the number of
processes, and neither may hold here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Shard

from dina_lrm.typed import DinaError

LAUNCH_WORDS: Final = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
"""Variables by which `accelerate launch` asks for it."""
_STAGE: Final = "ACCELERATE_DEEPSPEED_ZERO_STAGE"
_OFFLOADS: Final = (
    "FSDP_OFFLOAD_PARAMS",
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE",
    "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE",
)
_NOT_OURS: Final = {
    "FSDP_ACTIVATION_CHECKPOINTING": "--compute.gradient-checkpointing does that",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "every process reads the weights itself",
}


@dataclass(frozen=True)
class Sharding:
    """How the weights are shared out. `gathered_again`: a part is let go behind its forward, for the least memory."""

    gathered_again: bool = True

    @classmethod
    def of_launch(cls, environment: Mapping[str, str] = os.environ) -> Sharding | None:
        """What the launch asks for; None where every process holds all weights.

        Raises ValueError for what there is not: FSDP's first version, other stages of DeepSpeed, weights kept elsewhere
        than on the device.
        """
        by_fsdp, by_deepspeed = (_is_on(environment, name) for name in LAUNCH_WORDS)
        if not (by_fsdp or by_deepspeed):
            return None
        for name in _OFFLOADS:
            if environment.get(name, "none").lower() not in ("", "none", "false", "0"):
                raise DinaError(f"accelerate launch: {name}={environment[name]}; accepted: none, weights stay there")
        for name, instead in _NOT_OURS.items():
            if _is_on(environment, name):
                raise DinaError(f"accelerate launch: {name}={environment[name]}; accepted: false, {instead}")
        return cls(_fsdp_gathers_again(environment) if by_fsdp else _stage(environment) == 3)

    def shard(self, model: nn.Module, parts: Iterable[nn.Module], device: torch.device) -> nn.Module:
        """Share `model` out in place over all processes, which compute on such a device.

        Each of `parts` by itself, the rest of it together. Names stay what they are.
        """
        mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
        for part in (*parts, model):
            fully_shard(part, mesh=mesh, reshard_after_forward=self.gathered_again)
        return model


def _is_on(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "false").lower() in ("true", "1", "yes", "on")


def _fsdp_gathers_again(environment: Mapping[str, str]) -> bool:
    version = environment.get("FSDP_VERSION", "1")
    if version != "2":
        raise DinaError(f"accelerate launch: fsdp_version {version}; accepted: fsdp_version: 2")
    said = environment.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower()
    if said not in ("true", "false"):
        raise DinaError(f"accelerate launch: fsdp_reshard_after_forward {said}; accepted: true, false")
    return said == "true"


def _stage(environment: Mapping[str, str]) -> int:
    file = environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")
    said = environment.get(_STAGE, "2") if file is None else _stage_in(Path(file))
    if str(said) not in ("2", "3"):
        raise DinaError(f"accelerate launch: DeepSpeed's zero_stage {said}; accepted: 2, 3")
    return int(said)


def _stage_in(file: Path) -> Any:  # noqa: ANN401 - whatever the file has there
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["zero_optimization"]["stage"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DinaError(f"{file}: {error!r}; accepted: a JSON object with zero_optimization.stage 2 or 3") from error
    return found


def let_go(model: nn.Module) -> None:
    """Forget what was gathered for a forward that no backward followed: the weights may change before the next one."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def is_shared_out(tensor: Tensor) -> bool:
    """Whether each process holds some rows of it."""
    return isinstance(tensor, DTensor)


def own_rows(tensor: Tensor) -> Tensor:
    """The rows that this process holds, in the same memory and without a graph; all of them where nothing is shared."""
    return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def whole(tensor: Tensor) -> Tensor:
    """All rows, on every process: all of them have to ask."""
    return tensor.full_tensor().detach() if isinstance(tensor, DTensor) else tensor.detach()


def shared_out_like(values: Tensor, tensor: Tensor) -> Tensor:
    """The share of whole `values` that this process holds of `tensor`, as a tensor of the same kind, on its device.

    `values` of another shape than `tensor`, such as a count of steps, are given back as they are.
    """
    if not isinstance(tensor, DTensor) or values.shape != tensor.shape:
        return values
    mesh, local = tensor.device_mesh, own_rows(tensor)
    assert tensor.placements == (Shard(0),), f"shared out by {tensor.placements}, and not by rows"
    size = -(-len(values) // mesh.size())
    first = min(mesh.get_local_rank() * size, len(values))
    rows = values[first : first + len(local)].to(local.device, copy=True)
    assert rows.shape == local.shape, f"rows {tuple(rows.shape)} of this process, which holds {tuple(local.shape)}"
    return DTensor.from_local(
        rows, mesh, tensor.placements, run_check=False, shape=tensor.shape, stride=torch.empty_like(values).stride()
    )
