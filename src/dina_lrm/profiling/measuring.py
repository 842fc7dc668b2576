"""Latency, throughput and memory of a reward model on this machine."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.model import LatentRewardModel

_PROMPT = "a large red bar on white"


@dataclass(frozen=True)
class MeasuredRow:
    """One way of scoring: what is given, noise levels, batch, median seconds, FLOPs, peak memory of the process."""

    given: str
    levels: int
    batch: int
    seconds: float
    flops: float
    peak_bytes: float


def measure_model(
    model: LatentRewardModel,
    batch_sizes: Sequence[int],
    levels: int,
    rounds: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> list[MeasuredRow]:
    """Measure scoring of latents at one level and at several, and of images and prompts through their encoders.

    Seconds are medians of `rounds` after one that warms up. Memory is the peak of the GPU in each row; on the CPU, the
    peak of the whole process until then, so that rows are in order of size.
    """
    ensemble = tuple(0.1 + 0.6 * i / max(levels - 1, 1) for i in range(levels))
    rows: list[MeasuredRow] = []
    for batch in sorted(batch_sizes):
        for given, count, run in _ways(model, batch, ensemble):
            rows.append(_measured(given, count, batch, run, rounds, model.device))
            if progress is not None:
                progress(len(rows), 3 * len(batch_sizes))
    return rows


def _ways(
    model: LatentRewardModel, batch: int, ensemble: tuple[float, ...]
) -> list[tuple[str, int, Callable[[], Tensor]]]:
    """What is given, how many levels are read, and the call."""
    latents, images = _inputs(model, batch)
    prompts = [_PROMPT] * batch
    conditioning = model.encode_prompts(prompts)
    return [
        ("latents", 1, lambda: model.score_latents(latents, conditioning)),
        ("latents", len(ensemble), lambda: model.score_latents(latents, conditioning, ensemble)),
        ("images and prompts", 1, lambda: model.score(images, prompts, batch_size=batch)),
    ]


def _inputs(model: LatentRewardModel, batch: int) -> tuple[Tensor, Tensor]:
    bucket = next((bucket for bucket in model.buckets if bucket.width == bucket.height), model.buckets[0])
    images = torch.rand(batch, 3, bucket.height, bucket.width, generator=torch.Generator().manual_seed(0))
    return model.encode_images(images, batch_size=batch), images


def _measured(
    given: str, levels: int, batch: int, run: Callable[[], Tensor], rounds: int, device: torch.device
) -> MeasuredRow:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with FlopCounterMode(display=False) as counter:
        run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    flops = float(counter.get_total_flops())
    return MeasuredRow(given, levels, batch, statistics.median(times), flops, _peak_bytes(device))


def _peak_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
