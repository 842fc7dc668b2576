r"""Latent preference optimisation (LPO, arXiv 2502.01051): preferences between candidates of one denoising step.

x_T -> x_0    by stochastic steps; from each state K candidates of the next are drawn and judged at their own
noise level (`lpo.scored_at`: at that of the state), the best and the worst make a pair, and the way goes on from a
random one; the last step leads to clean latents, and makes pairs with `lpo.last_step` only
L             the preference loss of the kept pairs, against the base model; or with `lpo.loss` group the clipped
              surrogate of all candidates, each by its score among those of its state (Step-GRPO, `step_groups.py`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, means
from dina_lrm.alignment.algorithms.lpo_loss import best_and_worst, lpo_loss, pair_threshold
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.policy_loss import check_first_update
from dina_lrm.alignment.algorithms.rollout import derived_seeds, step_of
from dina_lrm.alignment.algorithms.step_groups import StepGroups, group_loss, step_groups
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import DenoisingStep, Ode, stochastic_kernel
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.step_scores import StepScorer
from dina_lrm.typed import DinaError

_ROUNDED = 2e-3
"""Timestep 951 of a thousand, which schedules of 20 steps have where papers say 950, is level .952."""
_FIRST_TIMESTEP = 1e-3
"""The level of timestep 0 of a thousand, to which a last step that is trained is drawn where level 0 has no noise."""


@dataclass(frozen=True)
class StepPairs:
    """Kept pairs of one step: winners and losers were drawn from the same states."""

    x: Latents
    level: Float[Tensor, ""]
    next_level: Float[Tensor, ""]
    winner: Latents
    loser: Latents
    conditioning: Conditioning


Learned = StepPairs | StepGroups
"""What a step of some trajectories teaches."""


@dataclass
class _Count:
    """What became of the candidates of an update."""

    states: int = 0
    kept: int = 0
    gap: float = 0.0


@final
class Lpo(Algorithm[LpoConfig]):
    """Latent preference optimisation."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: LpoConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        settings = config.lpo
        self._kernel = stochastic_kernel(settings.kernel, settings.eta)
        objective.state_reward(settings.scored)
        self._scorer = StepScorer(generator, objective, settings.scored)
        self._ends = self.levels[1:].clone()
        if settings.last_step:
            self._ends[-1] = _end_of_last(settings.kernel, float(self.levels[-2]))
        # The last step leads to clean latents without noise, unless it is trained
        total = len(self._ends) - (0 if settings.last_step else 1)
        self._trained = [number for number in range(total) if self.levels[number] <= settings.highest + _ROUNDED]
        if not self._trained:
            levels = [round(level, 3) for level in self.levels[:total].tolist()]
            raise DinaError(f"lpo.highest: {settings.highest} is below all levels that can be trained, {levels}")
        self._thresholds = self._thresholds_of(self._trained)
        self._checked = False

    def update(self, step: int, learn: Learn) -> Outcome:
        """Sample trajectories with pairs, then take `lpo.updates` optimiser steps on the pairs that were kept."""
        config = self.config
        rng = np.random.default_rng([config.seed, step])
        prompts = self.drawn_prompts(rng, config.batch_size)
        seeds = rng.integers(2**62, size=config.batch_size)
        reward_seed = int(rng.integers(2**31))
        pairs, count, totals, parts = [], _Count(), [], []
        for rows in self.own_parts():
            found, clean = self._trajectory(prompts[rows], seeds[rows].tolist(), count, reward_seed)
            pairs += found
            conditioning = self.generator.encode_prompts(prompts[rows])
            with torch.no_grad():
                scores = self.objective(clean, prompts[rows], reward_seed, conditioning)
            totals.append(scores.total.mean().item())
            parts.append(scores.parts)
        losses, norms = self._learned(pairs, rng, learn)
        details = self.processes.mean(
            {"kept": count.kept / count.states, "gap": count.gap / count.states, "pairs": float(count.kept)}
        )
        return Outcome(losses, float(np.mean(totals)), means(parts), norms, details)

    def _learned(self, pairs: list[Learned], rng: np.random.Generator, learn: Learn) -> tuple[float, float]:
        """Mean loss and gradient norm of the optimiser steps that had pairs; NaN where there was none."""
        losses, norms = [], []
        for share in np.array_split(rng.permutation(len(pairs)), self.config.lpo.updates):
            chosen = [pairs[number] for number in share]
            # The mean over processes, so that a process with more pairs weighs more
            kept = self.processes.mean({"kept": float(sum(len(each.x) for each in chosen))})["kept"]
            if not kept:
                continue
            total = 0.0
            for each in chosen:
                loss = self._loss(each).sum() / kept
                loss.backward()
                total += loss.item()
            losses.append(total)
            norms.append(learn())
        return (float(np.mean(losses)), float(np.mean(norms))) if losses else (float("nan"), 0.0)

    @torch.no_grad()
    def _trajectory(
        self, prompts: list[str], seeds: list[int], count: _Count, reward_seed: int
    ) -> tuple[list[Learned], Latents]:
        generator = self.generator
        conditioning = generator.encode_prompts(prompts)
        x, found = generator.start(generator.noise(seeds), self.levels[0]), []
        for number, level in enumerate(self.levels[:-1]):
            last = number == len(self.levels) - 2
            if number in self._trained:
                step = step_of(generator, self._kernel, x, level, self._ends[number], conditioning)
                candidates = self._candidates(step, seeds, number)
                pairs = self._judged(x, step, candidates, number, prompts, conditioning, count, reward_seed)
                found += [pairs] if pairs is not None else []
            if last:
                x = step_of(generator, Ode(), x, level, self.levels[-1], conditioning).mean
            elif number in self._trained:
                chosen = [int(np.random.default_rng([seed, number, 1]).integers(len(candidates))) for seed in seeds]
                x = candidates[torch.tensor(chosen), torch.arange(len(seeds))]
            else:
                step = step_of(generator, self._kernel, x, level, self._ends[number], conditioning)
                x = step.sample(self._noise(seeds, number, 0))
        return found, x

    def _candidates(
        self, step: DenoisingStep, seeds: list[int], number: int
    ) -> Float[Tensor, "candidates batch channels height width"]:
        draws = range(self.config.lpo.candidates)
        return torch.stack([step.sample(self._noise(seeds, number, draw)) for draw in draws])

    def _noise(self, seeds: list[int], number: int, draw: int) -> Latents:
        return self.generator.noise(derived_seeds(seeds, number, 0, draw))

    def _judged(
        self,
        x: Latents,
        step: DenoisingStep,
        candidates: Float[Tensor, "candidates batch channels height width"],
        number: int,
        prompts: list[str],
        conditioning: Conditioning,
        count: _Count,
        seed: int,
    ) -> Learned | None:
        level, after, times = self.levels[number], self._ends[number], len(candidates)
        judged_at = after if self.config.lpo.scored_at == "candidate" else level
        rows = list(range(len(x))) * times
        scores = self._scores(candidates.flatten(0, 1), judged_at, prompts * times, conditioning[rows], seed)
        scores = scores.reshape(times, len(x))
        pairs = best_and_worst(
            scores.T,
            self._thresholds[number],
            lambda margin: self._scorer.preferred(margin, judged_at, self.config.lpo.scored),
        )
        count.states += len(x)
        count.gap += pairs.gap.sum().item()
        if self.config.lpo.loss == "group":
            groups = step_groups(x, level, after, step, candidates, scores, conditioning)
            count.kept += 0 if groups is None else len(groups.x)
            return groups
        count.kept += int(pairs.kept.sum())
        if not bool(pairs.kept.any()):
            return None
        kept = pairs.kept.nonzero().flatten()
        return StepPairs(
            x[kept], level, after, candidates[pairs.best[kept], kept], candidates[pairs.worst[kept], kept],
            conditioning[kept.tolist()],
        )  # fmt: skip

    def _scores(
        self, states: Latents, level: Tensor, prompts: list[str], conditioning: Conditioning, seed: int
    ) -> Float[Tensor, " batch"]:
        if self.config.lpo.scored == "noisy":
            return self._scorer.noisy(states, level, prompts, conditioning)
        velocity = self.generator.velocity(states, level, conditioning)
        return self._scorer.clean(states, velocity, level, prompts, conditioning, seed)

    def _loss(self, pairs: Learned) -> Float[Tensor, " states"]:
        settings = self.config.lpo
        if isinstance(pairs, StepGroups):
            new = step_of(self.generator, self._kernel, pairs.x, pairs.level, pairs.next_level, pairs.conditioning)
            found = group_loss(new, pairs, settings.clip)
            if not self._checked:
                check_first_update(found.ratio)
                self._checked = True
            return found.loss.reshape(-1, len(pairs.x)).mean(0)
        arguments = (pairs.x, pairs.level, pairs.next_level, pairs.conditioning)
        with torch.no_grad(), self.generator.reference():
            base = step_of(self.generator, self._kernel, *arguments)
        new = step_of(self.generator, self._kernel, *arguments)
        ratios = (new.log_ratio(base, pairs.winner), new.log_ratio(base, pairs.loser))
        return lpo_loss(*ratios, settings.beta, settings.epsilon)

    def _thresholds_of(self, trained: Sequence[int]) -> dict[int, float]:
        """The threshold of each step, from the standard deviations of the schedule in use."""
        settings, nothing = self.config.lpo, torch.zeros(1, 1, 1, 1)
        quantity = {}
        for number in trained:
            level, after = self.levels[number], self._ends[number]
            std = self._kernel.step(self.generator.process, nothing, nothing, level, after).std.item()
            quantity[number] = {"std": std, "variance": std**2, "level": float(level)}[settings.quantity]
        lowest, highest = min(quantity.values()), max(quantity.values())
        if settings.low == settings.high or lowest == highest:
            return dict.fromkeys(trained, settings.high)
        return {
            number: pair_threshold(value, lowest, highest, settings.low, settings.high).item()
            for number, value in quantity.items()
        }


def _end_of_last(kernel: str, start: float) -> float:
    """Where a last step from level `start` that is trained is drawn to: 0, where the kernel is noisy there.

    Raises ValueError where there is no way down to it.
    """
    if kernel == "flow-sde":
        return 0.0
    if start < _FIRST_TIMESTEP + 1e-6:
        raise DinaError(
            f"lpo.last_step: with the kernel {kernel} the last step, from level {start:.4g}, has no noise; accepted: "
            f"schedules whose last step begins above {_FIRST_TIMESTEP}, the first timestep of a thousand, or flow-sde"
        )
    return _FIRST_TIMESTEP
