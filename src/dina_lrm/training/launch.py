"""Processes, devices and trackers, through accelerate."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, ProjectConfiguration

from dina_lrm.run_trackers import Tracker, check_trackers, flat
from dina_lrm.training.run_folder import RunRecord

_SUPPORTED = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
)


def make_accelerator(trackers: Sequence[Tracker], folder: Path) -> Accelerator:
    """The processes as `accelerate launch` set them up, or a single one.

    Precision, accumulation and batches are ours: they must not depend on how the run was launched.
    Raises `ValueError` for a tracker that is not installed and for launch modes that shard the weights.
    """
    check_trackers("log.trackers", trackers)
    # A tapped last block leaves some LoRA factors without a gradient
    options = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    accelerator = Accelerator(
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
