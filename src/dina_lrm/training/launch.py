"""Processes, devices and trackers, through accelerate."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, ProjectConfiguration, parse_flag_from_env

from dina_lrm.runs.trackers import Tracker, check_trackers, flat
from dina_lrm.training.run_folder import RunRecord

_SUPPORTED = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
)


def join_processes() -> PartialState:
    """This process among those of its launch (`accelerate launch`, `torchrun`), on CPUs where there is nothing else.

    Raises ValueError where several were launched and would train without knowing of each other.
    """
    state = PartialState(cpu=_on_cpu())
    launched = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else state.num_processes
    if launched != state.num_processes:
        raise ValueError(
            f"WORLD_SIZE={launched}: the launcher started so many processes, and this one finds {state.num_processes}; "
            "set ACCELERATE_USE_CPU=1 to compute on CPUs, or start one process"
        )
    return state


def _on_cpu() -> bool:
    """Whether accelerate has to be told: by itself it sees no launch where there is no accelerator."""
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    return "RANK" in os.environ and not torch.accelerator.is_available()


def make_accelerator(trackers: Sequence[Tracker], folder: Path) -> Accelerator:
    """The processes as `accelerate launch` set them up, or a single one.

    Precision, accumulation and batches are ours: they must not depend on how the run was launched.
    Raises `ValueError` for a tracker that is not installed and for launch modes that shard the weights.
    """
    check_trackers("log.trackers", trackers)
    # A tapped last block leaves some LoRA factors without a gradient
    options = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    join_processes()
    accelerator = Accelerator(
        cpu=_on_cpu() or None,
        mixed_precision="no",
        log_with=list(trackers) or None,
        project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder)),
        kwargs_handlers=[options],
    )
    if accelerator.distributed_type not in _SUPPORTED:
        raise ValueError(
            f"accelerate launch: {accelerator.distributed_type} is not supported; accepted: data parallel "
            "(--multi_gpu; torchrun on CPUs)"
        )
    return accelerator


@contextmanager
def start_trackers(accelerator: Accelerator, record: RunRecord) -> Iterator[None]:
    """Trackers are open inside, told the run's settings."""
    if not accelerator.log_with:
        yield
        return
    accelerator.init_trackers("tensorboard" if _only_tensorboard(accelerator) else "dina-lrm", flat(record.to_dict()))
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


def peak_memory_bytes(device: torch.device) -> int:
    """Largest memory held so far: of the device, or of the process where that is the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _only_tensorboard(accelerator: Accelerator) -> bool:
    return [str(tracker) for tracker in accelerator.log_with] == ["tensorboard"]
