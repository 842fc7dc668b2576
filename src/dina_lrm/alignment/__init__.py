"""Aligning a generator with a reward: the pure functions that the training loops are made of.

| noun | place |
|---|---|
| `Kernel`: one denoising step as a distribution of the next state | `steps.py`, table `KERNELS` |
"""

from dina_lrm.alignment.steps import KERNELS, Cps, CpsStep, Ddim, DenoisingStep, FlowSde, GaussianStep, Kernel, Ode

__all__ = [
    "KERNELS",
    "Cps",
    "CpsStep",
    "Ddim",
    "DenoisingStep",
    "FlowSde",
    "GaussianStep",
    "Kernel",
    "Ode",
]
