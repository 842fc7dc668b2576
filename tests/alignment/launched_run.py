"""Two updates of every run, for `torchrun --nproc-per-node 2 -m tests.alignment.launched_run FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.runs.processes import Processes
from tests.alignment.runs import LAUNCHED, a_run


def two_updates(algorithm, folder):
    config = LAUNCHED[algorithm]
    if isinstance(config, GrpoConfig):
        # Which micro-batches an optimiser step has depends on the number of processes
        config = replace(config, grpo=replace(config.grpo, updates=1))
    a_run(replace(config, steps=2), folder)


if __name__ == "__main__":
    (place,) = sys.argv[1:]
    assert Processes(cpu=True).count == 2
    for name in LAUNCHED:
        two_updates(name, Path(place) / name)
