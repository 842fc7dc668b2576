"""Samples drawn with a few stochastic steps, and what a policy loss has to remember of those steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import DenoisingStep, Kernel, Ode


@dataclass(frozen=True)
class Transition:
    """A stochastic step as it was taken: from `x` at `level`, drawn from `step`, to `x_next` at `next_level`."""

    x: Latents
    level: Float[Tensor, ""]
    next_level: Float[Tensor, ""]
    step: DenoisingStep
    x_next: Latents
    velocity: Latents
    """The guided velocity at `x`, of which `step` was made."""
    base: DenoisingStep | None = None
    """The base model's step from `x`, where a pass for it was made in the rollout."""

    @property
    def dt(self) -> float:
        """`next_level - level`, below 0."""
        return float(self.next_level - self.level)

    def of(self, rows: Sequence[int]) -> Transition:
        """The same step of some of the images."""
        base = None if self.base is None else step_of_rows(self.base, rows)
        step, velocity = step_of_rows(self.step, rows), self.velocity[rows]
        return replace(self, x=self.x[rows], step=step, x_next=self.x_next[rows], velocity=velocity, base=base)


@dataclass(frozen=True)
class Rollout:
    """Clean latents of some prompts, and the stochastic steps on the way to them."""

    latents: Latents
    conditioning: Conditioning
    transitions: tuple[Transition, ...]
    after: Latents | None = None
    """The guided velocity at the state after the last of them; None where there was none."""

    def of(self, rows: Sequence[int]) -> Rollout:
        """Some of the images, as if the others had not been drawn."""
        taken = tuple(transition.of(rows) for transition in self.transitions)
        after = None if self.after is None else self.after[rows]
        return Rollout(self.latents[rows], self.conditioning[list(rows)], taken, after)


@torch.no_grad()
def roll_out(
    generator: Generator,
    conditioning: Conditioning,
    noise: Latents,
    levels: Float[Tensor, " levels"],
    window: range,
    kernel: Kernel,
    seeds: Sequence[int],
) -> Rollout:
    """Sample from `noise` along `levels`: steps of `window` by the kernel, all others by the ODE.

    The noise of a stochastic step is a function of the image's seed and the step's number.
    """
    x, transitions, left = generator.start(noise, levels[0]), [], None
    for number in range(len(levels) - 1):
        level, after = levels[number], levels[number + 1]
        velocity = generator.velocity(x, level, conditioning, generator.guidance)
        left = velocity if number == window.stop else left
        if number not in window:
            x = Ode().step(generator.process, x, velocity, level, after).mean
            continue
        step = kernel.step(generator.process, x, velocity, level, after)
        x_next = step.sample(generator.noise(derived_seeds(seeds, number)))
        transitions.append(Transition(x, level, after, step, x_next, velocity))
        x = x_next
    return Rollout(x, conditioning, tuple(transitions), left)


def derived_seeds(seeds: Sequence[int], *key: int) -> list[int]:
    """A seed for each image, a function of the image's own and of `key`."""
    return [int(np.random.default_rng([seed, *key]).integers(2**62)) for seed in seeds]


def step_of_rows(step: DenoisingStep, rows: Sequence[int]) -> DenoisingStep:
    """The same step of some of its states."""
    return replace(step, mean=step.mean[rows], std=step.std if len(step.std) == 1 else step.std[rows])


def step_of(
    generator: Generator, kernel: Kernel, x: Latents, level: Tensor, next_level: Tensor, conditioning: Conditioning
) -> DenoisingStep:
    """The distribution of the next state under the generator as it is, guided: sampling and training call it alike."""
    velocity = generator.velocity(x, level, conditioning, generator.guidance)
    return kernel.step(generator.process, x, velocity, level, next_level)
