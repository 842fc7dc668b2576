"""A tiny run for `torchrun --nproc-per-node 2 -m tests.training.launched_run GENERATOR FOLDER`."""

import os
import sys
from pathlib import Path

import torch
from accelerate import PartialState

from dina_lrm.training.config import LogSettings, OptimizerSettings
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.tiny_runs import tiny_comparisons, tiny_config


def launched_config(generator: Path):
    """Large epsilon: Adam turns the rounding of gradients near zero into whole steps otherwise."""
    log = LogSettings(log_every=1, checkpoint_every=0, trackers=())
    return tiny_config(generator, steps=3, optimizer=OptimizerSettings(lr=1e-2, eps=1e-2), log=log)


if __name__ == "__main__":
    torch.set_num_threads(1)
    assert os.environ["WORLD_SIZE"] == "2" and PartialState(cpu=True).num_processes == 2
    train(TrainingPlan(launched_config(Path(sys.argv[1])), tiny_comparisons(), sys.argv[2], quiet=True))
