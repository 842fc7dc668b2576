"""Several processes that align one generator: each computes a share of an update, and all hold the same LoRA.

The generator is not wrapped: what learns is a few matrices, whose gradients are averaged by hand. So adapters may be
switched inside an update as often as an algorithm likes, and an update is the same on one process as on many, up to the
order of sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, broadcast_object_list
from jaxtyping import Float
from torch import Tensor, nn

_SUPPORTED = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU, DistributedType.MULTI_XPU)


@final
class Processes:
    """The processes as `accelerate launch` or `torchrun` set them up, or a single one."""

    def __init__(self, cpu: bool | None = None) -> None:
        """`cpu`: compute there even where there is a GPU. ValueError for launch modes that shard the weights."""
        self._accelerator = Accelerator(cpu=cpu, mixed_precision="no")
        kind = self._accelerator.distributed_type
        if kind not in _SUPPORTED:
            raise ValueError(
                f"accelerate launch: {kind} is not supported; accepted: data parallel (--multi_gpu; torchrun on CPUs)"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return self._accelerator.num_processes

    @property
    def index(self) -> int:
        """Which one this is."""
        return self._accelerator.process_index

    @property
    def main(self) -> bool:
        """Whether this one writes files and looks at samples."""
        return self._accelerator.is_main_process

    @property
    def device(self) -> torch.device:
        """Where this one computes."""
        return self._accelerator.device

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over processes in the place of each gradient; zero counts for a process that has none."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self._accelerator.reduce(own, "mean")

    def gathered(self, values: Float[Tensor, " own"]) -> Float[Tensor, " all"]:
        """The values of all processes, in the order of the processes."""
        found: Tensor = values if self.count == 1 else self._accelerator.gather(values)
        return found

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean over processes of each name."""
        if self.count == 1:
            return dict(values)
        stacked = torch.tensor(list(values.values()), dtype=torch.float32, device=self.device)
        return dict(zip(values, self._accelerator.reduce(stacked, "mean").tolist(), strict=True))

    def agree(self, said: str | None) -> str | None:
        """What the main process says, on all of them."""
        if self.count == 1:
            return said
        holder = [said]
        broadcast_object_list(holder, from_process=0)
        return holder[0]

    def wait(self) -> None:
        """Until all have come here."""
        self._accelerator.wait_for_everyone()
