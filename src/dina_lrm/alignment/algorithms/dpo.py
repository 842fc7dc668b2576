"""Offline preference optimisation (Diffusion-DPO): pairs are drawn and judged once, before anything is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome
from dina_lrm.alignment.algorithms.dpo_loss import squared_error
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.pairs.losses import LEAST_ELBO_LEVEL, PairLoss, level_weight, preference_loss
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.typed import require


@dataclass(frozen=True)
class SamplePairs:
    """Clean latents of the best and the worst sample of each prompt, and the rewards of all samples drawn."""

    prompts: tuple[str, ...]
    winner: Latents
    loser: Latents
    parts: dict[str, float]
    reward: float


@final
class Dpo(Algorithm[DpoConfig]):
    """Diffusion-DPO on the base generator's own samples."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: DpoConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        settings = config.dpo
        require(settings.kind != "kto", "dpo.kind", settings.kind, "dpo or ipo, or --pairs")
        require(settings.reward == "judges", "dpo.reward", settings.reward, "judges, or --pairs")
        level_weight(torch.tensor(0.5), settings.weighting, generator.process)
        self._pairs: SamplePairs | None = None

    def update(self, step: int, learn: Learn) -> Outcome:
        """One optimiser step on pairs at random noise levels; the first call draws the pairs."""
        config, parts = self.config, self.own_parts()
        pairs = self._pairs = self._pairs or self._drawn_pairs()
        rng = np.random.default_rng([config.seed, step])
        rows = rng.choice(len(pairs.prompts), config.batch_size, replace=config.batch_size > len(pairs.prompts))
        seeds = rng.integers(2**62, size=config.batch_size)
        levels = rng.random(config.batch_size // config.micro_batch)
        least = LEAST_ELBO_LEVEL if config.dpo.weighting == "elbo" else 0.01
        losses = []
        for part in parts:
            level = torch.tensor(levels[part.start // config.micro_batch], dtype=torch.float32).clamp(least, 0.99)
            loss = self._loss(pairs, rows[part], seeds[part].tolist(), level).mean()
            (loss / len(parts)).backward()
            losses.append(loss.item())
        return Outcome(float(np.mean(losses)), pairs.reward, pairs.parts, learn())

    def _loss(self, pairs: SamplePairs, rows: np.ndarray, seeds: list[int], level: Tensor) -> Float[Tensor, " pairs"]:
        generator, chosen = self.generator, torch.from_numpy(rows)
        conditioning = generator.encode_prompts([pairs.prompts[row] for row in rows])
        both = Conditioning.cat([conditioning, conditioning])
        x_0 = torch.cat([pairs.winner[chosen], pairs.loser[chosen]])
        # The same noise for both, so that the difference is one of pictures alone
        noise = generator.noise(seeds).repeat(2, 1, 1, 1)
        x, target = generator.process.add_noise(x_0, noise, level), generator.process.velocity(x_0, noise, level)
        with torch.no_grad(), generator.reference():
            reference = squared_error(generator.velocity(x, level, both), target)
        own = squared_error(generator.velocity(x, level, both), target)
        (winner, loser), (winner_before, loser_before) = own.chunk(2), reference.chunk(2)
        settings = self.config.dpo
        weight = level_weight(level, settings.weighting, generator.process)
        won, lost, won_before, lost_before = (weight * each for each in (winner, loser, winner_before, loser_before))
        kind: PairLoss = "ipo" if settings.kind == "ipo" else "dpo"
        loss = preference_loss(won, lost, won_before, lost_before, 1.0, settings.beta, kind)
        return loss + settings.winner_weight * won if settings.winner_weight else loss

    @torch.no_grad()
    def _drawn_pairs(self) -> SamplePairs:
        config = self.config
        rng = np.random.default_rng([config.seed, 2**31])
        prompts = self.drawn_prompts(rng, config.dpo.prompts)
        count = config.dpo.candidates
        captions = [prompt for prompt in prompts for _ in range(count)]
        seeds = rng.integers(2**62, size=len(captions)).tolist()
        reward_seed = int(rng.integers(2**31))
        latents, totals, parts = [], [], []
        for some, conditioning, clean in self.base_samples(captions, seeds):
            found = self.objective(clean, some, reward_seed, conditioning)
            latents.append(clean)
            totals.append(found.total)
            parts.append(found.parts)
        together = torch.cat(latents).unflatten(0, (len(prompts), count))
        scores = torch.cat(totals)
        ranked = scores.reshape(len(prompts), count)
        rows = torch.arange(len(prompts))
        return SamplePairs(
            tuple(prompts),
            together[rows, ranked.argmax(1)],
            together[rows, ranked.argmin(1)],
            {name: torch.cat([each[name] for each in parts]).mean().item() for name in parts[0]},
            scores.mean().item(),
        )
