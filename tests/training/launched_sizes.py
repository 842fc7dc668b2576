"""A tiny run over pictures of several sizes, as a process of a launch: `... launched_sizes GENERATOR FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train
from tests.training.launched_run import launched_config
from tests.training.tiny_runs import sized_comparisons


def run(generator: Path, folder: Path) -> None:
    """Three steps of nine pairs whose pictures have three sizes, cut into micro-batches of tokens."""
    config = launched_config(generator)
    config = replace(config, batch_size=9, compute=replace(config.compute, micro_tokens=60))
    train(TrainingPlan(config, sized_comparisons(), folder, quiet=True))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Path(sys.argv[1]), Path(sys.argv[2]))
