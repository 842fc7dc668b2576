"""A process that trains a tiny run and is killed outright on the way: `python -m tests.training.killed_run ...`."""

import os
import signal
import sys
from pathlib import Path

import torch

from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.training.config import AdaptationSettings
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.tiny_runs import on_line, tiny_comparisons, tiny_config

# Dropout draws from the global generators: their state must follow from the step too
ADAPTATION = AdaptationSettings(lora=LoraSettings(rank=2, alpha=4.0, dropout=0.2))
STEPS = 20


def main(generator: str, folder: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    on_line(Path(folder), 7, lambda: os.kill(os.getpid(), signal.SIGKILL))
    train(
        TrainingPlan(
            tiny_config(Path(generator), steps=STEPS, adaptation=ADAPTATION), tiny_comparisons(), folder, quiet=True
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
