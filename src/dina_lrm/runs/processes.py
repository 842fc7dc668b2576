"""The processes of a run, as `accelerate launch` or `torchrun` set them up, or a single one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, final

import torch
import torch.distributed
from accelerate import Accelerator, PartialState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    broadcast_object_list,
    parse_flag_from_env,
)
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.runs.sharding import LAUNCH_WORDS, Sharding, whole
from dina_lrm.typed import DinaError

_SUPPORTED: Final = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
)


def join_processes(cpu: bool = False) -> PartialState:
    """This process among those of its launch (`accelerate launch`, `torchrun`), on CPUs where there is nothing else.

    `cpu`: compute there even where there is a GPU. Raises ValueError where several were launched and would compute
    without knowing of each other.
    """
    with _plain_launch():
        state = PartialState(cpu=cpu or _on_cpu())
    launched = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else state.num_processes
    if launched != state.num_processes:
        raise DinaError(
            f"WORLD_SIZE={launched}: the launcher started so many processes, and this one finds {state.num_processes}; "
            "set ACCELERATE_USE_CPU=1 to compute on CPUs, or start one process"
        )
    return state


@contextmanager
def computing_on(device: str | None) -> Iterator[None]:
    """Inside, this process joins its launch to compute on `device`; None leaves that to the launch.

    Raises ValueError for a device other than the CPU where several processes were launched: each has its own.
    """
    if device is None:
        yield
        return
    if device != "cpu" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DinaError(f"--device {device}: of several processes each has a device of its own; accepted: cpu, or none")
    name, value = ("ACCELERATE_USE_CPU", "true") if device == "cpu" else ("ACCELERATE_TORCH_DEVICE", device)
    with _said(name, value):  # where accelerate looks for it
        yield


@contextmanager
def _said(name: str, value: str) -> Iterator[None]:
    """An environment variable, inside."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _plain_launch() -> Iterator[None]:
    """Inside, accelerate sees a plain group of processes: how the weights are shared out is our own (`sharding.py`)."""
    with ExitStack() as stack:
        for name in LAUNCH_WORDS:
            if name in os.environ:
                stack.enter_context(_said(name, "false"))
        yield


def _on_cpu() -> bool:
    """Whether accelerate has to be told: by itself it sees no launch where there is no accelerator."""
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    return "RANK" in os.environ and not torch.accelerator.is_available()


def resident_bytes() -> int:
    """Main memory that this process holds now; the most it ever held where the system tells no more."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return peak_memory_bytes(torch.device("cpu"))


def peak_memory_bytes(device: torch.device) -> int:
    """Largest memory held so far: of the device, or of the process where that is the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@final
class Processes:
    """The processes that compute a run together: each takes its share of a batch, and all go by the same weights.

    A model that learns as a whole is `wrapped`; where the launch asks for it (`sharding`), its weights are then shared
    out, and each process holds some rows of every tensor. A generator that is aligned is not: what learns of it is a
    few matrices, whose gradients are averaged by hand (`average_gradients`), so that adapters may be switched inside an
    update as often as an algorithm likes, and an update is the same on one process as on many, up to the order of sums.

    Precision, accumulation and batches are the run's own: they must not depend on how it was launched.
    """

    def __init__(self, cpu: bool = False) -> None:
        """Join the launch, as `join_processes`; ValueError for launch modes that there are not."""
        self.sharding = Sharding.of_launch()
        """How the weights of a wrapped model are shared out; None where every process holds all."""
        join_processes(cpu)
        # A tapped last block leaves some LoRA factors without a gradient
        options = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        with _plain_launch():
            self._accelerator = Accelerator(cpu=cpu or _on_cpu(), mixed_precision="no", kwargs_handlers=[options])
        kind = self._accelerator.distributed_type
        if kind not in _SUPPORTED:
            raise DinaError(
                f"accelerate launch: {kind} is not supported; accepted: data parallel (--multi_gpu; torchrun on CPUs), "
                "FSDP2, DeepSpeed's stages 2 and 3"
            )
        if kind == DistributedType.NO:
            self.sharding = None

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

    def wrapped(self, model: nn.Module, parts: Iterable[nn.Module] = ()) -> nn.Module:
        """`model` on this device, its gradients averaged over processes as they are computed.

        Where weights are shared out, that happens in place, each of `parts` by itself: parameters are taken afterwards.
        """
        if self.sharding is not None:
            return self.sharding.shard(model, parts, self.device)
        prepared: nn.Module = self._accelerator.prepare_model(model)
        return prepared

    def unsynchronised(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients of a wrapped model stay with their process: all but the last micro-batch of a step.

        Where weights are shared out, gradients are too, after each micro-batch: else each process would hold all.
        """
        return nullcontext() if self.sharding is not None else self._accelerator.no_sync(wrapped)

    def clip_gradients(self, parameters: Iterable[nn.Parameter], limit: float | None) -> Float[Tensor, ""]:
        """The norm of the whole gradient before it is cut to `limit`; None: it stays as it is."""
        largest = math.inf if limit is None else limit
        return whole(torch.nn.utils.clip_grad_norm_(parameters, largest, foreach=True))

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over processes in the place of each gradient; zero counts for a process that has none."""
        if self.count == 1:
            return
        for parameter in parameters:
            own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self._accelerator.reduce(own, "mean")

    def gathered(self, values: Float[Tensor, "own ..."]) -> Float[Tensor, "all ..."]:
        """The values of all processes, in the order of the processes."""
        found: Tensor = values if self.count == 1 else self._accelerator.gather(values)
        return found

    def summed(self, values: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """The sum over processes of a tensor of one shape."""
        found: Tensor = self._accelerator.reduce(values, "sum")
        return found

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        """The mean over processes of each name."""
        if self.count == 1:
            return dict(values)
        stacked = torch.tensor(list(values.values()), dtype=torch.float32, device=self.device)
        return dict(zip(values, self._accelerator.reduce(stacked, "mean").tolist(), strict=True))

    def all_said(self, said: str | None) -> list[str | None]:
        """What each process says, in their order, on all of them."""
        if self.count == 1:
            return [said]
        found: list[str | None] = [None] * self.count
        torch.distributed.all_gather_object(found, said)
        return found

    def aside(self) -> Aside:
        """A channel beside all others, for one thread of each process. Every process has to ask for it."""
        return Aside(self.count)

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


class Aside:
    """How a thread of each process talks to those of the others while the main threads compute together."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._group = None if count == 1 else torch.distributed.new_group(backend="gloo")

    def exchange(self, value: Any) -> list[Any]:  # noqa: ANN401 - plain values
        """The value of each process, in their order; waits for all. RuntimeError where one is gone."""
        if self._count == 1:
            return [value]
        found: list[Any] = [None] * self._count
        torch.distributed.all_gather_object(found, value, group=self._group)
        return found
