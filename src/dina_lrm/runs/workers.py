"""Where worker processes come from, so that each need not import the same libraries for seconds."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.context import BaseContext
from typing import Final

import torch

PIPELINES: Final = ("diffusers.loaders.peft", "diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3")
"""What takes longest to import of what a job on the bundled generator needs."""


def worker_context(*modules: str) -> BaseContext:
    """How worker processes are started: as forks of one process that has imported `modules`, by name.

    That process is started with the first worker, knows nothing of this one but its environment, and ends with it;
    later calls share it. Where a fork is not to be trusted (a GPU that the libraries may have opened, macOS) or cannot
    be had (Windows), every worker is an interpreter of its own, which imports what it needs by itself.
    """
    if sys.platform != "linux" or torch.cuda.is_available():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context
