"""Two updates, for `torchrun --nproc-per-node 2 -m tests.alignment.launched_run ALGORITHM FOLDER 2`."""

import sys
from dataclasses import replace
from pathlib import Path

from dina_lrm.alignment.processes import Processes
from tests.alignment.runs import CONFIGS, GRPO, a_run

if __name__ == "__main__":
    algorithm, folder, count = sys.argv[1:]
    assert Processes(cpu=True).count == int(count)
    config = {config.algorithm: config for config in CONFIGS}[algorithm]
    if config is GRPO:
        # Which micro-batches an optimiser step has depends on the number of processes
        config = replace(config, grpo=replace(config.grpo, updates=1))
    a_run(replace(config, steps=2), Path(folder))
