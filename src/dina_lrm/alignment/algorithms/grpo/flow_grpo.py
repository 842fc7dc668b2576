r"""Flow-GRPO (arXiv 2505.05470) and Flow-GRPO-Fast: the policy gradient of a reward that needs no gradient itself.

    x_T -> x_0    for a group of images a prompt, with a few stochastic steps
    A             each image's reward beside those of its group, or each step's gain (`credit.py`)
    L             the clipped surrogate on the stochastic steps, beside a KL to the base model

What others made of it since are settings, each in a file of its own: `credit.py` (DenseGRPO), `noise_weights.py`
(TempFlow), `divergence_loss.py` (FlowDPPO), `kl_gate.py`, `moving_reference.py` and `diverse.py` (GARDO).

A step's log-probability is that of the function by which it was sampled, so the ratio is 1 before anything was learned:
the first update of a run checks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import (
    Advantages,
    combined_rewards,
    grpo_advantages,
    warn_of_flat_groups,
)
from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, in_batch_order, scores_of_all
from dina_lrm.alignment.algorithms.grpo.credit import DenseCredit, base_generator, base_groups
from dina_lrm.alignment.algorithms.grpo.divergence_loss import divergence_policy_loss
from dina_lrm.alignment.algorithms.grpo.diverse import diverse_advantages, features_of
from dina_lrm.alignment.algorithms.grpo.gated_kl import GatedKl
from dina_lrm.alignment.algorithms.grpo.level_scales import LevelScales
from dina_lrm.alignment.algorithms.grpo.moving_reference import MovingReference
from dina_lrm.alignment.algorithms.grpo.noise_weights import noise_weights
from dina_lrm.alignment.algorithms.grpo.readings import Asked
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.grpo.windows import EveryStep, FirstSteps, RandomWindow, SlidingWindow, Window
from dina_lrm.alignment.algorithms.policy_loss import (
    PolicyLoss,
    check_first_update,
    clipped_policy_loss,
    gaussian_kl,
    guarded_log_ratio,
)
from dina_lrm.alignment.algorithms.rollout import Rollout, Transition, roll_out, step_of, step_of_rows
from dina_lrm.alignment.algorithms.win_rate import combined_win_rates
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.kernels import DenoisingStep, stochastic_kernel
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective, ObjectiveScores
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
    held: Bool[Tensor, " samples"] | None
    """Whom the KL is for; None: all."""
    details: dict[str, float]


@dataclass(frozen=True)
class _Drawn:
    """What this process sampled and found, a row of each list a micro-batch."""

    rollouts: list[Rollout]
    scores: list[ObjectiveScores]
    states: list[Tensor]
    """Scores of states, where steps are credited with their gains."""
    witnesses: list[Tensor]
    """Scores of auxiliary rewards, where they decide on the KL."""
    passes: int


@dataclass(frozen=True)
class _Images:
    """The images of a micro-batch that count, their advantages, and whom of them the KL is for."""

    rollout: Rollout
    advantages: Float[Tensor, "images ..."]
    held: list[int]

    def __len__(self) -> int:
        return len(self.advantages)

    def at(self, number: int) -> Float[Tensor, " images"]:
        """Their advantages at a step."""
        return self.advantages if self.advantages.ndim == 1 else self.advantages[:, number]


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
        settings = config.grpo
        self._credit = None
        if settings.credit == "dense":
            self._credit = DenseCredit(config, generator, objective, self.levels, self._kernel)
        self._gate = GatedKl(generator, settings) if settings.kl_gate else None
        self.witnesses = self._gate.rewards if self._gate else ()
        self._reference = None
        if settings.resets:
            self._reference = MovingReference(generator.parameters, settings.reset_every, settings.reset_kl)
        self._known = False
        self._likelihoods = objective.likelihoods("grpo.transform win-rate") if config.win_rates else {}
        parts = self.own_parts()
        if len(parts) % config.grpo.updates:
            raise DinaError(f"grpo.updates: {config.grpo.updates} for {len(parts)} micro-batches of a process")
        self._window.steps(config.generator.sampling_steps, 0, config.seed)
        level, after = self.levels[0], self.levels[1]
        nothing = torch.zeros(1, 1, 1, 1)
        # A kernel that this process has not is refused before anything is sampled
        self._kernel.step(generator.process, nothing, nothing, level, after)

    def state(self) -> Mapping[str, Mapping[str, Tensor]]:
        """What the KL is to, where that is not the base model for good."""
        return {} if self._reference is None else self._reference.tensors()

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
            counted = self.processes.mean({"images": float(sum(len(each) for each in images))})["images"]
            if not counted:
                continue
            learned += [self._backward(each, counted / len(each)) for each in images if len(each)]
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
        if self._reference is not None:
            details["reset"] = float(self._reference.follow(details["kl"]))
        flat = sampled.advantages.zero_spread_groups
        details |= {"zero_spread_groups": float(flat), **sampled.details}
        warn_of_flat_groups(step, flat, config.batch_size // settings.group)
        return Outcome(
            float(np.mean([each.loss for each in learned])),
            sampled.total.mean().item(),
            {name: values.mean().item() for name, values in sampled.parts.items()},
            float(np.mean(norms)),
            details,
        )

    def measured(self) -> dict[str, tuple[float, float]]:
        """Scales of the reward at each level, where steps are credited with gains of scores in units of their own."""
        if self._credit is None or not self._credit.measures:
            return {}
        rng = base_generator(self.config)
        prompts = self.drawn_prompts(rng, self.config.batch_size // self.config.grpo.group)
        return self._credit.measured(base_groups(self.config, prompts, rng)).to_plain()

    def know(self, measured: Mapping[str, tuple[float, float]]) -> None:
        """Take the scales that `measured` gave when the run began."""
        self._known = True
        if self._credit is not None and measured:
            self._credit.know(LevelScales.of_plain(measured))

    @torch.no_grad()
    def _sample(self, step: int, rng: np.random.Generator) -> _Sampled:
        config, settings = self.config, self.config.grpo
        if not self._known:  # in a loop of one's own; a run has kept them
            self.know(self.measured())
        groups = config.batch_size // settings.group
        texts = self.drawn_prompts(rng, groups)
        ids = np.repeat(np.arange(groups), settings.group)
        seeds = rng.integers(2**62, size=config.batch_size)
        starts = np.repeat(rng.integers(2**62, size=groups), settings.group) if settings.shared_noise else seeds
        window = self._window.steps(config.generator.sampling_steps, step, config.seed)
        reward_seed = int(rng.integers(2**31))
        drawn = self._drawn([texts[group] for group in ids], starts, seeds, window, reward_seed)
        together = scores_of_all(drawn.scores, self.processes)
        total, parts = together.total, together.parts
        of_all = torch.from_numpy(ids).to(total.device)
        advantages = self._advantages(drawn, total, parts, window, of_all)
        details = {"state_scores": float(drawn.passes)} if self._credit else {}
        held = None
        if self._gate is not None:
            held = self._gate.held(total, in_batch_order(drawn.witnesses, self.processes))
            details["held"] = held.float().mean().item()
        return _Sampled(drawn.rollouts, advantages, total, parts, held, details)

    def _drawn(
        self, prompts: list[str], starts: np.ndarray, seeds: np.ndarray, window: range, reward_seed: int
    ) -> _Drawn:
        """The rollouts of this process's images and what rewards find of them and of their states."""
        found = _Drawn([], [], [], [], 0)
        for rows in self.own_parts():
            some = prompts[rows]
            conditioning = self.generator.encode_prompts(some)
            noise = self.generator.noise(starts[rows].tolist())
            rollout = roll_out(
                self.generator, conditioning, noise, self.levels, window, self._kernel, seeds[rows].tolist()
            )
            # One draw of the reward's noise for the whole batch: images of a group must differ in nothing else
            scores = self.objective(rollout.latents, some, reward_seed, conditioning)
            if self._credit is not None:
                read = self._credit.read(rollout, Asked(some, reward_seed, conditioning, scores.total))
                found.states.append(read.scores)
                found, rollout = replace(found, passes=read.passes), read.rollout
            if self._gate is not None:
                found.witnesses.append(self._gate.scores(rollout.latents, some, reward_seed, conditioning))
            found.rollouts.append(rollout)
            found.scores.append(scores)
        return found

    def _advantages(
        self, drawn: _Drawn, total: Tensor, parts: dict[str, Tensor], window: range, ids: Int64[Tensor, " samples"]
    ) -> Advantages:
        settings = self.config.grpo
        if self._credit is not None:
            found = self._credit.advantages(in_batch_order(drawn.states, self.processes), total, window, ids)
        else:
            compared = total
            if settings.combination == "normalised":
                compared = combined_rewards(parts, self.objective.weights, ids, "normalised")
            if settings.transform == "win-rate":
                compared = combined_win_rates(parts, self.objective.weights, ids, self._likelihoods)
            found = grpo_advantages(compared, ids, settings.scope, settings.advantage_clip)
        if not settings.diverse:
            return found
        features = in_batch_order([features_of(rollout.latents) for rollout in drawn.rollouts], self.processes)
        return replace(found, values=diverse_advantages(found.values, features, ids))

    def _images(self, sampled: _Sampled, number: int, rows: slice) -> _Images:
        """The images of a micro-batch that count, with their advantages."""
        rollout, values = sampled.rollouts[number], sampled.advantages.values[rows]
        held = torch.ones(len(values), dtype=torch.bool) if sampled.held is None else sampled.held[rows]
        if self.config.grpo.drop_flat_groups:
            counted = ~sampled.advantages.masked[rows].reshape(len(values), -1).all(1)
            kept = counted.nonzero().flatten().tolist()
            rollout, values, held = rollout.of(kept), values[kept], held[kept]
        return _Images(rollout, values, held.nonzero().flatten().tolist())

    def _backward(self, images: _Images, micro_batches: float) -> _Learned:
        """Accumulate the gradient of one micro-batch; a step at a time, so that one forward pass is held."""
        transitions, rows = images.rollout.transitions, []
        weights = [1.0] * len(transitions)
        if self.config.grpo.step_weights == "tempflow":
            weights = noise_weights(torch.stack([each.step.std.flatten()[0] for each in transitions])).tolist()
        for number, weight in enumerate(weights):
            loss, learned = self._loss(images, number, weight)
            (loss / (len(transitions) * micro_batches)).backward()
            rows.append(learned)
        columns = zip(*(vars(row).values() for row in rows), strict=True)
        return _Learned(*(float(np.mean(column)) for column in columns))

    def _loss(self, images: _Images, number: int, weight: float) -> tuple[Float[Tensor, ""], _Learned]:
        settings, taken = self.config.grpo, images.rollout.transitions[number]
        # Before the pass that learns: a copy that acts as the reference is written over what that pass has read
        near = self._near(taken, images) if settings.kl_weight and images.held else None
        new = step_of(self.generator, self._kernel, taken.x, taken.level, taken.next_level, images.rollout.conditioning)
        found = self._policy_loss(new, taken, images.at(number))
        if not self._checked:
            check_first_update(found.ratio)
            self._checked = True
        loss = found.loss.mean()
        if settings.guard:
            loss = loss / -taken.dt
        if weight != 1:
            loss = weight * loss
        kl = torch.zeros(())
        if near is not None:
            kl = self._kl(new, near, taken, images)
            loss = loss + settings.kl_weight * kl
        learned = _Learned(
            loss.item(), found.ratio.mean().item(), found.clipped.item(), found.divergence.item(), kl.item()
        )
        return loss, learned

    def _policy_loss(self, new: DenoisingStep, taken: Transition, advantages: Float[Tensor, " images"]) -> PolicyLoss:
        settings, old = self.config.grpo, taken.step
        if settings.trust == "divergence":
            plain, centred = new.log_ratio(old, taken.x_next), guarded_log_ratio(new, old, taken.x_next)
            divergence = gaussian_kl(new, old, "exact")
            return divergence_policy_loss(plain, centred.detach(), divergence.detach(), advantages, settings.divergence)
        ratio = guarded_log_ratio(new, old, taken.x_next) if settings.guard else new.log_ratio(old, taken.x_next)
        return clipped_policy_loss(ratio, advantages, settings.clip)

    @torch.no_grad()
    def _near(self, taken: Transition, images: _Images) -> DenoisingStep:
        """The step of what the KL is to, of the images that are held: only they are passed through it."""
        conditioning = images.rollout.conditioning
        if len(images.held) < len(images):
            taken, conditioning = taken.of(images.held), conditioning[images.held]
        if taken.base is not None and self._reference is None:
            return taken.base
        with self.generator.reference() if self._reference is None else self._reference.acting():
            return step_of(self.generator, self._kernel, taken.x, taken.level, taken.next_level, conditioning)

    def _kl(self, new: DenoisingStep, near: DenoisingStep, taken: Transition, images: _Images) -> Float[Tensor, ""]:
        """The mean over all images of the KL of those that are held."""
        count = len(images)
        if len(images.held) < count:
            new = step_of_rows(new, images.held)
        kl = gaussian_kl(new, near, self.config.grpo.kl, taken.dt)
        return kl.mean() if len(images.held) == count else kl.sum() / count
