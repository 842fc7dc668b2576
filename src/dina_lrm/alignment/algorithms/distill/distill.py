r"""On-policy distillation of a guided sampler (Diffusion-OPD, arXiv 2605.15055; RG-OPD of LRR).

    x_S -> x_0    the student's own rollout; each state x_k is held fixed
    v_ref         the frozen base model at x_k, under classifier-free guidance of scale `guidance`
    v_T           v_ref, with its next state moved by `scale` of the step's length up the rewards, each of unit size
    L             mean over the steps but the last of w_k (v_S - sg v_T)^2

The target is a bounded move off the frozen base model: a fixed point exists, and no reward can be climbed further. No
graph goes through the sampler, and no reward is in the student's. One optimiser step is made for a whole rollout, so
that every state is one that the student visits as it is (RG-OPD steps behind each state: later states of its rollout
are an older student's). A generator that is sampled with guidance rolls out with it, and its conditional velocity is
taught, as ReFL does; a teacher with guidance of its own is for students that are sampled without (guidance
distillation, Meng et al., arXiv 2210.03142, here on the student's own states and up the rewards at once).

Everything that is drawn is a function of (seed, step, image): a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, means
from dina_lrm.alignment.algorithms.distill.loss import distillation_loss, step_weights, velocity_factor
from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Ode
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.guidance import matched_move
from dina_lrm.sampling.objective import Objective, ObjectiveScores


@dataclass(frozen=True)
class _Rolled:
    """A micro-batch that was taught: its loss, its rewards at the end, and squared distances of the student."""

    loss: float
    rewards: ObjectiveScores
    to_base: float
    to_teacher: float


@dataclass(frozen=True)
class _Batch:
    prompts: Sequence[str]
    conditioning: Conditioning
    reward_seed: int


@final
class Distill(Algorithm[DistillConfig]):
    """The student learns the velocity of its own frozen base, moved up the rewards."""

    differentiable: ClassVar[bool] = True

    def __init__(
        self, config: DistillConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        if config.distill.reading == "noisy":
            objective.check_states("distill.reading noisy")
        generator.check_guided("distill.guidance", config.distill.guidance)
        weights = step_weights(config.distill.weights, generator.process, self.levels)
        self._weights = weights / weights.mean()
        self.evaluations = 0
        """How many rewards were asked for a gradient, counted in single images."""

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step on the mean loss of the states of a rollout."""
        config, parts = self.config, self.own_parts()
        rng = np.random.default_rng([config.seed, step])
        prompts = self.drawn_prompts(rng, config.batch_size)
        seeds = rng.integers(2**62, size=config.batch_size)
        reward_seed = int(seeds[0] % 2**31)
        rolled = []
        for rows in parts:
            batch = _Batch(prompts[rows], self.generator.encode_prompts(prompts[rows]), reward_seed)
            rolled.append(self._taught(batch, seeds[rows].tolist(), len(parts)))
        loss, reward = (
            float(np.mean([each.loss for each in rolled])),
            float(np.mean([each.rewards.total.mean().item() for each in rolled])),
        )
        details = {
            "to_base": float(np.mean([each.to_base for each in rolled])),
            "to_teacher": float(np.mean([each.to_teacher for each in rolled])),
        }
        return Outcome(loss, reward, means([each.rewards.parts for each in rolled]), learn(), details)

    def _taught(self, batch: _Batch, seeds: list[int], parts: int) -> _Rolled:
        """Roll out, and leave the gradient of each state's loss in the LoRA as soon as it is visited."""
        generator, levels = self.generator, self.levels
        x, taught = generator.start(generator.noise(seeds), levels[0]), len(levels) - 2
        losses, to_base, to_teacher = [], [], []
        for k in range(taught):
            base, teacher = self._teacher(x, k, batch)
            student = generator.velocity(x, levels[k], batch.conditioning)
            loss = distillation_loss(student, teacher, self._weights[k].item()).mean()
            (loss / (taught * parts)).backward()
            student = student.detach()
            losses.append(loss.item())
            to_base.append((student - base).square().mean().item())
            to_teacher.append((student - teacher).square().mean().item())
            x = self._next(x, k, student, batch.conditioning)
        with torch.no_grad():
            velocity = generator.velocity(x, levels[taught], batch.conditioning, generator.guidance)
            clean = Ode().step(generator.process, x, velocity, levels[taught], levels[taught + 1]).mean
            rewards = self.objective(clean, batch.prompts, batch.reward_seed, batch.conditioning)
        return _Rolled(float(np.mean(losses)), rewards, float(np.mean(to_base)), float(np.mean(to_teacher)))

    @torch.no_grad()
    def _next(self, x: Latents, k: int, student: Latents, conditioning: Conditioning) -> Latents:
        """The state behind step k of the student's rollout, guided where its generator is."""
        generator, level = self.generator, self.levels[k]
        if generator.guidance != 1.0:
            student = generator.velocity(x, level, conditioning, generator.guidance)
        return Ode().step(generator.process, x, student, level, self.levels[k + 1]).mean

    @torch.no_grad()
    def _teacher(self, x: Latents, k: int, batch: _Batch) -> tuple[Latents, Latents]:
        """Velocities of the base model under the prompts alone, and of the teacher, at a state."""
        generator, settings, level = self.generator, self.config.distill, self.levels[k]
        with generator.reference():
            base, led = generator.plain_and_guided(x, level, batch.conditioning, settings.guidance)
        if not settings.guides(level.item()):
            return base, led
        gradients = self._gradients(x, base, level, batch)
        self.evaluations += len(x) * len(gradients)
        behind = Ode().step(generator.process, x, led, level, self.levels[k + 1]).mean
        move = matched_move(x, behind, gradients, self.objective.weights, settings.scale)
        return base, led + move / velocity_factor(generator.process, level, self.levels[k + 1])

    def _gradients(self, x: Latents, base: Latents, level: Tensor, batch: _Batch) -> dict[str, Latents]:
        # Read without guidance, under which clean estimates of noisy states are far larger than latents are
        told = batch.prompts, batch.reward_seed, batch.conditioning
        if self.config.distill.reading == "noisy":
            return self.objective.gradients(x, *told, level=level.item())
        return self.objective.gradients(self.generator.process.clean_from_velocity(x, base, level), *told)
