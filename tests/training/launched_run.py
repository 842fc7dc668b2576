"""Tiny runs as a process of a launch: `-m tests.training.launched_run GENERATOR FOLDER STEPS [resume] WAY/JOB ...`."""

import dataclasses
import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.training.config import (
    AdaptationSettings,
    ComputeSettings,
    HeterogeneousSettings,
    LogSettings,
    NoiseLevelSettings,
    OptimizerSettings,
)
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.launching import WAYS
from tests.training.tiny_runs import sized_comparisons, tiny_comparisons, tiny_config

DROPPING = LoraSettings(rank=2, alpha=4.0, dropout=0.2)
"""Masks are a function of (seed, step, image): they are the same on any number of processes."""
VARIANTS = {
    "lora": {},
    "full": {"adaptation": AdaptationSettings(kind="full"), "optimizer": OptimizerSettings(lr=1e-3, eps=1e-2)},
    "bf16": {"compute": ComputeSettings(precision="bf16")},
    "cut": {
        "compute": ComputeSettings(precision="fp32", accumulation=3, gradient_checkpointing=True),
        "batch_size": 5,
        "adaptation": AdaptationSettings(lora=DROPPING),
    },
    "sized": {"adaptation": AdaptationSettings(lora=DROPPING)},
    "heterogeneous": {"objective": {"heterogeneous": HeterogeneousSettings(0.5)}},
    "together": {"objective": {"noise_levels": NoiseLevelSettings(together=2)}},
}
"""What a run may be beside the tiny run with a LoRA."""


def launched_config(generator: Path, variant: str = "lora", steps: int = 3):
    """Large epsilon: Adam turns the rounding of gradients near zero into whole steps otherwise."""
    log = LogSettings(log_every=1, checkpoint_every=2, evaluate_every=2, trackers=())
    config = tiny_config(generator, steps=steps, optimizer=OptimizerSettings(lr=1e-2, eps=1e-2), log=log)
    changes = dict(VARIANTS[variant])
    if "objective" in changes:
        changes["objective"] = dataclasses.replace(config.objective, **changes["objective"])
    return dataclasses.replace(config, **changes)


def launched_plan(generator: Path, folder: Path, variant: str = "lora", resume: bool = False, steps: int = 3):
    """The same plan on any number of processes."""
    held = tiny_comparisons(prompts=2, seed=7)
    config = launched_config(generator, variant, steps)
    data = sized_comparisons() if variant == "sized" else tiny_comparisons()
    return TrainingPlan(config, data, folder, validation=held, resume=resume, quiet=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    generator, place, number, *jobs = [word for word in sys.argv[1:] if word != "resume"]
    for job in jobs:
        way, name = job.split("/")
        os.environ |= WAYS[way]
        train(launched_plan(Path(generator), Path(place) / job, name, "resume" in sys.argv, int(number)))
        for word in WAYS[way]:
            del os.environ[word]
    PartialState().destroy_process_group()
