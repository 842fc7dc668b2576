r"""The loss of on-policy distillation, and what the steps of a sampler weigh in it.

    L_k = w_k mean (v_S - sg v_T)^2    student and teacher at the same state

| weights | w_k | what it is |
|---|---|---|
| `unit` | 1 | every step counts alike |
| `mean` | (dm/dv)^2, dt^2 for rectified flow | squared distance of the means of the deterministic step |
| `kl` | (dm/dv)^2 / (2 s^2) | KL of the stochastic step of std s; rectified flow: Flow-GRPO's at eta = 0.7 |

The last two teach the end of the schedule alone: with shift 3 and ten steps they grow from .0013 at the first to .032
and .38 at the ninth.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.distill.settings import StepWeights
from dina_lrm.diffusion.process import ForwardProcess, RectifiedFlow
from dina_lrm.generators.generator import Latents
from dina_lrm.generators.kernels import Ddim, DenoisingStep, FlowSde, Kernel, Ode


def distillation_loss(
    student: Latents, teacher: Latents, weight: Float[Tensor, " #samples"] | float = 1.0
) -> Float[Tensor, " samples"]:
    """`weight` times the mean squared distance of each sample's velocity to the teacher's, which gets no gradient."""
    return weight * (student.float() - teacher.detach().float()).square().flatten(1).mean(1)


def step_weights(
    kind: StepWeights, process: ForwardProcess, levels: Float[Tensor, " levels"]
) -> Float[Tensor, " steps"]:
    """The weight of each step of a schedule but the last, as the table says."""
    pairs = list(pairwise(levels[:-1]))
    if kind == "unit":
        return torch.ones(len(pairs))
    kernel = _stochastic(process) if kind == "kl" else Ode()
    steps = [_of_unit_velocity(kernel, process, t, t_next) for t, t_next in pairs]
    weights = [step.mean.square() / (2 * step.std.square() if kind == "kl" else 1.0) for step in steps]
    return torch.cat([weight.flatten() for weight in weights])


def velocity_factor(process: ForwardProcess, level: Tensor, next_level: Tensor) -> float:
    """What a unit of the velocity adds to the next state of the deterministic step: dt for rectified flow."""
    return _of_unit_velocity(Ode(), process, level, next_level).mean.item()


def _of_unit_velocity(kernel: Kernel, process: ForwardProcess, level: Tensor, next_level: Tensor) -> DenoisingStep:
    zero, one = torch.zeros(1, 1, 1, 1, dtype=level.dtype), torch.ones(1, 1, 1, 1, dtype=level.dtype)
    return kernel.step(process, zero, one, level, next_level)


def _stochastic(process: ForwardProcess) -> Kernel:
    """Flow-GRPO's step for rectified flow, DDPM's for others."""
    return FlowSde(0.7) if isinstance(process, RectifiedFlow) else Ddim(1.0)
