r"""DRTune (arXiv 2405.00760): a gradient through many steps of the sampler that holds one step in memory.

With the input of the network held fixed at each step, the finished sample depends on every velocity by itself:

    x_0 = a x_S + sum c_k v(sg x_k),    rectified flow: a = 1, c_k = dt_k
    dL/dtheta = sum over the chosen k of d<c_k g, v(sg x_k)>/dtheta,    g = dL/dx_0

Roll out without a graph, take g once, then go one pass forward and back for each chosen step: no graph is longer than a
step, whatever their number, and no gradient explodes. All steps are what is left of the full gradient without the
network's derivative with respect to its input; with the last step alone it is ReFL there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.alignment.algorithms.through.pretraining import Pretraining
from dina_lrm.alignment.algorithms.through.way import Drawn, Pulled, Way, detached
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Ode
from dina_lrm.sampling.objective import Objective, ObjectiveScores

Extra = Callable[[int, Latents], Tensor]
"""A further loss of the velocity at a step."""


def drtune_backward(
    velocity_at: Callable[[int], Latents],
    gradient: Latents,
    dts: Float[Tensor, " steps"],
    chosen: Sequence[int],
    extra: Extra | None = None,
) -> None:
    """One backward pass of `<gradient dts[k], velocity_at(k)>` for each chosen step, and of `extra` with it.

    `gradient` is that of the loss at the finished sample, `dts` what a velocity adds to it (`velocity_weights`);
    `velocity_at` predicts at the state of step k, held fixed.
    """
    for k in chosen:
        velocity = velocity_at(k)
        loss = (gradient * dts[k] * velocity).sum()
        (loss if extra is None else loss + extra(k, velocity)).backward()


def chosen_steps(steps: int, count: int) -> tuple[int, ...]:
    """`count` of so many steps at even distances, the last among them; from the last to the first."""
    return tuple(steps - 1 - (number * steps) // count for number in range(count))


def velocity_weights(process: ForwardProcess, levels: Float[Tensor, " levels"]) -> Float[Tensor, " steps"]:
    """What a unit of the velocity at each step adds to the finished sample: dt for rectified flow.

    A step of the ODE is `a x + b v`: the weight is b times the product of `a` over the steps behind.
    """
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    behind, weights = 1.0, []
    for t, t_next in reversed(list(pairwise(levels))):
        weights.append(behind * Ode().step(process, zero, one, t, t_next).mean.item())
        behind *= Ode().step(process, one, zero, t, t_next).mean.item()
    return torch.tensor(weights[::-1])


@final
class HeldSteps(Way):
    """`through_steps` steps, each by itself. Raises ValueError for a guided generator."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        levels: Float[Tensor, " levels"],
        settings: ReflSettings,
        pretraining: Pretraining | None,
    ) -> None:
        super().__init__(generator, objective, levels, settings, pretraining)
        self.refuse_guidance("drtune")
        self._chosen = chosen_steps(len(levels) - 1, settings.through_steps)
        self._weights = velocity_weights(generator.process, levels)

    @property
    def steps(self) -> range:
        """The last step, which is always chosen."""
        return range(len(self.levels) - 2, len(self.levels) - 1)

    def pull(self, drawn: Drawn, parts: int) -> Pulled:
        """Add the gradient, one chosen step after the other; the distance to the base model is their mean."""
        generator, mixed = self.generator, self.pretraining
        conditioning = generator.encode_prompts(drawn.prompts)
        states, clean = self._rolled_out(drawn, conditioning)
        loss, gradient, found = self._of_reward(clean, drawn, conditioning)
        share = 1 / parts if mixed is None else 1 / (parts * (1 + mixed.weight))
        distances: list[Tensor] = []

        def velocity_at(k: int) -> Latents:
            return generator.velocity(states[k], self.levels[k], conditioning)

        def held(k: int, velocity: Latents) -> Tensor:
            distance = self.distance(velocity, states[k], self.levels[k], conditioning)
            distances.append(distance.detach())
            return share * self.settings.kl_weight / len(self._chosen) * distance

        extra = held if self.settings.kl_weight else None
        drtune_backward(velocity_at, share * gradient, self._weights, self._chosen, extra)
        if distances:
            loss = loss + self.settings.kl_weight * torch.stack(distances).mean()
        if mixed is not None:
            error = mixed.mixed(torch.zeros_like(loss), drawn.seeds)
            (error / parts).backward()
            loss = loss / (1 + mixed.weight) + error.detach()
        return Pulled(loss.item(), found)

    @torch.no_grad()
    def _rolled_out(self, drawn: Drawn, conditioning: Conditioning) -> tuple[dict[int, Latents], Latents]:
        """The states of the chosen steps, and the finished samples."""
        generator, levels = self.generator, self.levels
        x, states = generator.start(generator.noise(drawn.seeds), levels[0]), {}
        for k in range(len(levels) - 1):
            if k in self._chosen:
                states[k] = x
            velocity = generator.velocity(x, levels[k], conditioning)
            x = Ode().step(generator.process, x, velocity, levels[k], levels[k + 1]).mean
        return states, x

    def _of_reward(
        self, clean: Latents, drawn: Drawn, conditioning: Conditioning
    ) -> tuple[Float[Tensor, ""], Latents, ObjectiveScores]:
        """The loss of finished samples, its gradient with respect to them, and the rewards."""
        leaf = clean.detach().requires_grad_()
        found = self.objective(leaf, drawn.prompts, drawn.reward_seed, conditioning)
        loss = self.shaped(found.total)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return loss.detach(), gradient, detached(found)
