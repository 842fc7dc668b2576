r"""Flow-GRPO (arXiv 2505.05470) and Flow-GRPO-Fast: the policy gradient of a reward that needs no gradient itself.

    x_T -> x_0    for a group of images a prompt, with a few stochastic steps
    A             each image's reward beside those of its group
    L             the clipped surrogate on the stochastic steps, beside a KL to the base model

A step's log-probability is that of the function by which it was sampled, so the ratio is 1 before anything was learned:
the first update of a run checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import (
    Advantages,
    combined_rewards,
    grpo_advantages,
    warn_of_flat_groups,
)
from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, scores_of_all
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.grpo.windows import EveryStep, FirstSteps, RandomWindow, SlidingWindow, Window
from dina_lrm.alignment.algorithms.policy_loss import (
    check_first_update,
    clipped_policy_loss,
    gaussian_kl,
    guarded_log_ratio,
)
from dina_lrm.alignment.algorithms.rollout import Rollout, Transition, roll_out, step_of
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.kernels import stochastic_kernel
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError


def window_of(settings: GrpoSettings) -> Window:
    """The window that the settings name."""
    count = settings.window_steps
    if settings.window == "every":
        return EveryStep()
    if settings.window == "first":
        return FirstSteps(count)
    if settings.window == "random":
        return RandomWindow(count, settings.window_until)
    return SlidingWindow(count, settings.window_period)


@dataclass(frozen=True)
class _Sampled:
    """The images of an update: this process's rollouts, and rewards of all."""

    rollouts: list[Rollout]
    advantages: Advantages
    total: Float[Tensor, " samples"]
    parts: dict[str, Float[Tensor, " samples"]]


@dataclass(frozen=True)
class _Learned:
    """Means over the steps of one micro-batch."""

    loss: float
    ratio: float
    clipped: float
    divergence: float
    kl: float


_NOTHING = _Learned(*(float("nan") for _ in range(5)))


@final
class FlowGrpo(Algorithm[GrpoConfig]):
    """Group-relative policy optimisation of the generator's stochastic steps."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: GrpoConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        self._window = window_of(config.grpo)
        self._kernel = stochastic_kernel(config.grpo.kernel, config.grpo.eta)
        self._checked = False
        parts = self.own_parts()
        if len(parts) % config.grpo.updates:
            raise DinaError(f"grpo.updates: {config.grpo.updates} for {len(parts)} micro-batches of a process")
        self._window.steps(config.generator.sampling_steps, 0, config.seed)
        level, after = self.levels[0], self.levels[1]
        nothing = torch.zeros(1, 1, 1, 1)
        # A kernel that this process has not is refused before anything is sampled
        self._kernel.step(generator.process, nothing, nothing, level, after)

    def update(self, step: int, learn: Learn) -> Outcome:
        """Sample groups, then take `grpo.updates` optimiser steps, each on a share of the images."""
        config, settings = self.config, self.config.grpo
        rng = np.random.default_rng([config.seed, step])
        sampled = self._sample(step, rng)
        parts = self.own_parts()
        shares = np.array_split(rng.permutation(len(parts)), settings.updates)
        learned, norms = [], []
        for share in shares:
            images = [self._images(sampled, number, parts[number]) for number in share.tolist()]
            # The mean over processes, so that a process with more images weighs more
            counted = self.processes.mean({"images": float(sum(len(values) for _, values in images))})["images"]
            if not counted:
                continue
            learned += [self._backward(*each, counted / len(each[1])) for each in images if len(each[1])]
            norms.append(learn())
        # Nothing was learned where all groups were dropped
        learned, norms = learned or [_NOTHING], norms or [0.0]
        details = self.processes.mean(
            {
                "ratio": float(np.mean([each.ratio for each in learned])),
                "clipped": float(np.mean([each.clipped for each in learned])),
                "divergence": float(np.mean([each.divergence for each in learned])),
                "kl": float(np.mean([each.kl for each in learned])),
            }
        )
        flat = sampled.advantages.zero_spread_groups
        details["zero_spread_groups"] = float(flat)
        warn_of_flat_groups(step, flat, config.batch_size // settings.group)
        return Outcome(
            float(np.mean([each.loss for each in learned])),
            sampled.total.mean().item(),
            {name: values.mean().item() for name, values in sampled.parts.items()},
            float(np.mean(norms)),
            details,
        )

    @torch.no_grad()
    def _sample(self, step: int, rng: np.random.Generator) -> _Sampled:
        config, settings = self.config, self.config.grpo
        groups = config.batch_size // settings.group
        texts = self.drawn_prompts(rng, groups)
        ids = np.repeat(np.arange(groups), settings.group)
        seeds = rng.integers(2**62, size=config.batch_size)
        starts = np.repeat(rng.integers(2**62, size=groups), settings.group) if settings.shared_noise else seeds
        window = self._window.steps(config.generator.sampling_steps, step, config.seed)
        reward_seed = int(rng.integers(2**31))
        rollouts, scores = [], []
        for rows in self.own_parts():
            prompts = [texts[group] for group in ids[rows]]
            conditioning = self.generator.encode_prompts(prompts)
            noise = self.generator.noise(starts[rows].tolist())
            rollout = roll_out(
                self.generator, conditioning, noise, self.levels, window, self._kernel, seeds[rows].tolist()
            )
            rollouts.append(rollout)
            # One draw of the reward's noise for the whole batch: images of a group must differ in nothing else
            scores.append(self.objective(rollout.latents, prompts, reward_seed, conditioning))
        together = scores_of_all(scores, self.processes)
        total, parts = together.total, together.parts
        of_all = torch.from_numpy(ids).to(total.device)
        compared = total
        if settings.combination == "normalised":
            compared = combined_rewards(parts, self.objective.weights, of_all, "normalised")
        advantages = grpo_advantages(compared, of_all, settings.scope, settings.advantage_clip)
        return _Sampled(rollouts, advantages, total, parts)

    def _images(self, sampled: _Sampled, number: int, rows: slice) -> tuple[Rollout, Float[Tensor, " images"]]:
        """The images of a micro-batch that count, with their advantages."""
        rollout, values = sampled.rollouts[number], sampled.advantages.values[rows]
        if not self.config.grpo.drop_flat_groups:
            return rollout, values
        kept = (~sampled.advantages.masked[rows]).nonzero().flatten().tolist()
        return rollout.of(kept), values[kept]

    def _backward(self, rollout: Rollout, advantages: Float[Tensor, " images"], micro_batches: float) -> _Learned:
        """Accumulate the gradient of one micro-batch; a step at a time, so that one forward pass is held."""
        transitions, rows = rollout.transitions, []
        for transition in transitions:
            loss, learned = self._loss(rollout, transition, advantages)
            (loss / (len(transitions) * micro_batches)).backward()
            rows.append(learned)
        columns = zip(*(vars(row).values() for row in rows), strict=True)
        return _Learned(*(float(np.mean(column)) for column in columns))

    def _loss(
        self, rollout: Rollout, taken: Transition, advantages: Float[Tensor, " images"]
    ) -> tuple[Float[Tensor, ""], _Learned]:
        settings, old = self.config.grpo, taken.step
        arguments = (taken.x, taken.level, taken.next_level, rollout.conditioning)
        new = step_of(self.generator, self._kernel, *arguments)
        ratio = guarded_log_ratio(new, old, taken.x_next) if settings.guard else new.log_ratio(old, taken.x_next)
        found = clipped_policy_loss(ratio, advantages, settings.clip)
        if not self._checked:
            check_first_update(found.ratio)
            self._checked = True
        loss = found.loss.mean()
        if settings.guard:
            loss = loss / -taken.dt
        kl = torch.zeros(())
        if settings.kl_weight:
            with torch.no_grad(), self.generator.reference():
                base = step_of(self.generator, self._kernel, *arguments)
            kl = gaussian_kl(new, base, settings.kl, taken.dt).mean()
            loss = loss + settings.kl_weight * kl
        learned = _Learned(
            loss.item(), found.ratio.mean().item(), found.clipped.item(), found.divergence.item(), kl.item()
        )
        return loss, learned
