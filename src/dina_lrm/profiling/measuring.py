"""Latency, throughput, FLOPs and memory of a reward model on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.pipeline_folder import load_pipeline
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings, T5Weights
from dina_lrm.backbones.t5 import without_t5
from dina_lrm.profiling.live_bytes import peak_bytes
from dina_lrm.profiling.workloads import ReflSteps, Workload, scoring, training
from dina_lrm.reward_model.model import LatentRewardModel

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

_JOBS = 10
"""Rows of one batch size."""


@dataclass(frozen=True)
class MeasuredRow:
    """A job on a batch: median seconds, FLOPs, and the most that weights and tensors held at once."""

    job: str
    batch: int
    seconds: float
    flops: float
    peak_bytes: float


def measure_model(
    name: str,
    device: torch.device,
    batch_sizes: Sequence[int],
    levels: int,
    rounds: int = 5,
    progress: Callable[[int, int], None] | None = None,
    backbone: str | None = None,
    dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights | None = None,
) -> tuple[MeasuredRow, ...]:
    """Measure scoring, a training step and ReFL steps of the model `name`; see `profiling.workloads`.

    Seconds are medians of `rounds` after two that warm up. The model is loaded three times, one after the other: as
    for scoring, as for training, and on a whole generator whose weights it shares. `encoders` and `t5_weights` are as
    in `LatentRewardModel.from_pretrained`, of the first two.
    """
    rows: list[MeasuredRow] = []
    load = partial(
        LatentRewardModel.from_pretrained,
        name,
        device=device,
        backbone=backbone,
        encoders=encoders,
        t5_weights=t5_weights,
    )
    for workload, batch in _workloads(name, load, device, sorted(batch_sizes), levels, backbone, dtype):
        rows.append(_measured(workload, batch, rounds, device))
        if progress is not None:
            progress(len(rows), _JOBS * len(batch_sizes))
    return tuple(rows)


def _workloads(
    name: str,
    load: Callable[..., LatentRewardModel],
    device: torch.device,
    batches: Sequence[int],
    levels: int,
    backbone: str | None,
    dtype: torch.dtype | None,
) -> Iterator[tuple[Workload, int]]:
    model = load(dtype=dtype)
    for batch in batches:
        yield from ((workload, batch) for workload in scoring(model, batch, levels))
    dtype = model.backbone.dtype
    place = replace(model.config.backbone, pretrained=backbone or model.config.backbone.pretrained)
    del model
    trainable = load(dtype=dtype, trainable=True)
    for batch in batches:
        yield training(trainable, batch), batch
    del trainable
    pipeline = _pipeline(place, device, dtype)
    steps = ReflSteps(name, pipeline)
    for batch in batches:
        yield from ((workload, batch) for workload in steps.workloads(batch))


def _pipeline(place: BackboneConfig, device: torch.device, dtype: torch.dtype) -> DiffusionPipeline:
    folder = generator_folder(place.pretrained, place.revision)
    # A model that reads no T5 tokens needs no T5, and its generator may have none
    absent = {} if place.prompt_length else without_t5(folder)
    return load_pipeline(folder, dtype, absent).to(device)


def _measured(workload: Workload, batch: int, rounds: int, device: torch.device) -> MeasuredRow:
    peak = peak_bytes(workload.run, workload.modules, device)
    with FlopCounterMode(display=False) as counter:
        workload.run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        workload.run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return MeasuredRow(workload.job, batch, statistics.median(times), float(counter.get_total_flops()), peak)
