"""CRAFT (arXiv 2603.18991): flow matching on the generator's own samples that several rewards prefer, drawn once.

    draw      some samples a prompt, by the generator before it learned
    keep      those that lie above the prompt's first sample (or mean) by enough rewards
    weigh     A = (R - mean of the group) / std over all that were drawn, at least 0
    learn     A e(v), the matching error at a random noise level

The set is frozen: one generation of data, no older copy, and nothing is scored after it. What was kept is a function of
prompts and seeds, so a run that goes on draws the same again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import grpo_advantages
from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome
from dina_lrm.alignment.algorithms.forward.craft.composite_filter import composite_filter
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.craft.weighted_matching import weighted_matching_loss
from dina_lrm.alignment.algorithms.forward.levels import logit_normal_levels
from dina_lrm.alignment.algorithms.forward.matching import matching_error
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class KeptSamples:
    """Clean latents that are learned from, with prompt and weight of each, and what is known of all that were drawn."""

    prompts: tuple[str, ...]
    latents: Latents
    advantage: Float[Tensor, " kept"]
    drawn: int
    passed: int
    """How many passed the filter; those that are not above the mean of their prompt are not learned from."""
    reward: float
    parts: dict[str, float]
    kept_reward: float


@final
class Craft(Algorithm[CraftConfig]):
    """Filtered samples of the base generator, learned from by weight."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: CraftConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        self._kept: KeptSamples | None = None

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step at random noise levels; the first call draws the samples.

        ValueError, with how many each reward rejected, where none is kept.
        """
        config = self.config
        kept = self._kept = self._kept or self._drawn()
        rng = np.random.default_rng([config.seed, step])
        count = len(kept.prompts)
        rows = rng.choice(count, config.batch_size, replace=config.batch_size > count)
        seeds = rng.integers(2**62, size=config.batch_size)
        levels = logit_normal_levels(self.generator.shift, config.batch_size, 1, rng).flatten()
        parts, losses, errors = self.own_parts(), [], []
        for part in parts:
            error = self._error(kept, rows[part], seeds[part].tolist(), levels[part])
            loss = weighted_matching_loss(error, kept.advantage[torch.from_numpy(rows[part])]).mean()
            (loss / len(parts)).backward()
            losses.append(loss.item())
            errors.append(error.detach().mean().item())
        details = self.processes.mean({"error": float(np.mean(errors))})
        details |= {"passed": kept.passed / kept.drawn, "kept": count / kept.drawn, "kept_reward": kept.kept_reward}
        return Outcome(float(np.mean(losses)), kept.reward, kept.parts, learn(), details)

    def _error(
        self, kept: KeptSamples, rows: Int64[np.ndarray, " samples"], seeds: list[int], level: Tensor
    ) -> Float[Tensor, " samples"]:
        generator, process = self.generator, self.generator.process
        conditioning = generator.encode_prompts([kept.prompts[row] for row in rows])
        x_0, noise = kept.latents[torch.from_numpy(rows)], generator.noise(seeds)
        level = level.to(noise.device)
        x, target = process.add_noise(x_0, noise, level), process.velocity(x_0, noise, level)
        return matching_error(generator.velocity(x, level, conditioning), target, process.sigma(level))

    @torch.no_grad()
    def _drawn(self) -> KeptSamples:
        settings = self.config.craft
        rng = np.random.default_rng([self.config.seed, 2**31])
        prompts, count = self.drawn_prompts(rng, settings.prompts), settings.candidates
        captions = [prompt for prompt in prompts for _ in range(count)]
        seeds = rng.integers(2**62, size=len(captions)).tolist()
        reward_seed = int(rng.integers(2**31))
        latents, found = [], []
        for some, conditioning, clean in self.base_samples(captions, seeds):
            latents.append(clean)
            found.append(self.objective(clean, some, reward_seed, conditioning))
        total = torch.cat([each.total for each in found])
        parts = {name: torch.cat([each.parts[name] for each in found]) for name in found[0].parts}
        # Two prompts of one text are two groups: each has a baseline of its own
        group = torch.arange(len(prompts), device=total.device).repeat_interleave(count)
        advantage = grpo_advantages(total, group).values
        passed = self._filtered(parts)
        rows = (passed & (advantage > 0)).nonzero().flatten()
        if not len(rows):
            raise DinaError(
                f"{int(passed.sum())} of {len(captions)} samples passed the filter, none of them above the mean of "
                "its prompt; accepted: more candidates or prompts, or craft.baseline mean"
            )
        return KeptSamples(
            tuple(captions[row] for row in rows.tolist()),
            torch.cat(latents)[rows],
            advantage[rows],
            len(captions),
            int(passed.sum()),
            total.mean().item(),
            {name: values.mean().item() for name, values in parts.items()},
            total[rows].mean().item(),
        )

    def _filtered(self, parts: Mapping[str, Float[Tensor, " samples"]]) -> Tensor:
        """Which samples enough rewards prefer; one that is to fall prefers the lower."""
        settings, weights = self.config.craft, self.objective.weights
        rewards = {name: math.copysign(1.0, weights[name]) * values for name, values in parts.items()}
        groups = {name: values.unflatten(0, (-1, settings.candidates)) for name, values in rewards.items()}
        first = settings.baseline == "first"
        baseline = {
            name: (of[:, :1] if first else of.double().mean(1, keepdim=True).to(of)).expand_as(of).flatten()
            for name, of in groups.items()
        }
        return composite_filter(rewards, baseline, self.config.agreeing)
