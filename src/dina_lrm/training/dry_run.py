"""What a run would take, from two steps of it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.runs.processes import Processes, peak_memory_bytes
from dina_lrm.training.config import TeacherSettings, TrainConfig
from dina_lrm.training.labels.groups import in_groups
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.randomness import private_global_generators
from dina_lrm.training.trainer import Trainer

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class DryRun:
    """Cost of a run: a step once warm, and the whole at that rate.

    Evaluation, checkpoints and a teacher's pass over the data are left out.
    """

    seconds_per_step: float
    pairs_per_second: float
    total_steps: int
    estimated_seconds: float
    first_step_seconds: float
    """Includes what is done once, such as compilation."""
    peak_memory_bytes: int
    checkpoint_bytes: int
    """What one checkpoint takes on the disk."""
    parameters: int
    trained_parameters: int

    def to_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def dry_run(config: TrainConfig, data: EncodedComparisons, pipeline: DiffusionPipeline | None = None) -> DryRun:
    """Take two steps of `config` on `data`, leaving nothing behind."""
    teacher = config.objective.teacher
    objective = replace(config.objective, teacher=TeacherSettings())
    data = in_groups(config, data)
    if teacher.name is not None:
        data = data.with_pairs(replace(data.pairs, weight=torch.ones(len(data))), "as if taught")
    if teacher.of:  # whatever it will say, a step takes as long
        data = data.with_named({name: torch.full((len(data),), 0.5) for name in teacher.of}, "as if taught")
    quiet = replace(config, log=replace(config.log, trackers=()), objective=objective)
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes()
        with private_global_generators(processes.device):
            trainer = Trainer(TrainingPlan(quiet, data, folder, pipeline=pipeline, quiet=True), processes)
            start = time.perf_counter()
            trainer.stepper(trainer.source(0))
            middle = time.perf_counter()
            pairs = trainer.stepper(trainer.source(1)).pairs
            seconds = time.perf_counter() - middle
    return DryRun(
        seconds_per_step=seconds,
        pairs_per_second=pairs / seconds,
        total_steps=trainer.total_steps,
        estimated_seconds=seconds * trainer.total_steps,
        first_step_seconds=middle - start,
        peak_memory_bytes=peak_memory_bytes(processes.device),
        checkpoint_bytes=trainer.stepper.learning.size().total,
        parameters=sum(parameter.numel() for parameter in trainer.stepper.model.parameters()),
        trained_parameters=sum(parameter.numel() for parameter in trainer.stepper.parameters.values()),
    )
