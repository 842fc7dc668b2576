r"""Alignment by the forward process: no log-probability and no gradient of the reward, only clean samples and scores.

    x_0 ~ old         G images a prompt, by the ODE, under an older copy of the LoRA
    A in [-1, 1]      each image's reward beside those of its group
    x_t               each image noised anew at several levels of its own
    L(v, v_old, A)    one pass with gradient, one of the old policy, one of the base model where its weight is not 0

and then the old policy follows. What is drawn is a function of (seed, step, image, number of the level). The velocity
is that of the generator's own process: for variance-preserving ones `alpha eps - sigma x_0`, whatever they predict.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from dina_lrm.alignment.algorithms.advantages import warn_of_flat_groups
from dina_lrm.alignment.algorithms.algorithm import Algorithm, Learn, Outcome, scores_of_all
from dina_lrm.alignment.algorithms.forward.learner import TOLD, Learner, Lessons
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective
from dina_lrm.alignment.algorithms.forward.objectives import FORWARD_OBJECTIVES
from dina_lrm.alignment.algorithms.forward.old_policy import OldPolicy
from dina_lrm.alignment.algorithms.forward.optimality import Judged
from dina_lrm.alignment.algorithms.forward.samples import CleanPart, drawn_parts
from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig
from dina_lrm.alignment.algorithms.forward.tally import Tally
from dina_lrm.generators.generator import Generator
from dina_lrm.runs.processes import Processes
from dina_lrm.sampling.objective import Objective, ObjectiveScores
from dina_lrm.typed import DinaError


class ForwardWarning(UserWarning):
    """Settings of a run with which it may not do what is wanted."""


@dataclass(frozen=True)
class _Rollout:
    """The images of an update: this process's, and what is known of all."""

    parts: list[CleanPart]
    scores: ObjectiveScores
    judged: Judged
    lessons: Lessons


@final
class ForwardLoop(Algorithm[ForwardConfig]):
    """The loop around every objective of the forward process."""

    differentiable: ClassVar[bool] = False

    def __init__(
        self, config: ForwardConfig, generator: Generator, objective: Objective, prompts: Sequence[str],
        processes: Processes,
    ) -> None:  # fmt: skip
        super().__init__(config, generator, objective, prompts, processes)
        settings, parts = config.forward, self.own_parts()
        if len(parts) % settings.updates:
            raise DinaError(f"forward.updates: {settings.updates} for {len(parts)} micro-batches of a process")
        generator.check_guided("forward.rollout_guidance", settings.rollout_guidance)
        generator.check_guided("forward.kl_guidance", settings.kl_guidance)
        self._objective: ForwardObjective[Any] = FORWARD_OBJECTIVES[type(config)](config)
        for fault in self._objective.faults():
            warnings.warn(fault, ForwardWarning, stacklevel=2)
        # One that is always the policy itself needs no copy and no pass of its own
        self._old = OldPolicy(generator.parameters, settings.old, settings.updates) if config.copies else None
        self._sampling = (
            None if config.sampling is None else OldPolicy(generator.parameters, config.sampling, settings.updates)
        )
        self._likelihoods = objective.likelihoods("forward.transform win-rate") if config.win_rates else {}
        self._learner = Learner(config, generator, self._objective, self._old, processes)

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The old policy, where there is one, and the copy that draws the samples, where that is another."""
        copies = {"old": self._old, "sampling": self._sampling}
        return {name: dict(copy.tensors()) for name, copy in copies.items() if copy is not None}

    def update(self, step: int, learn: Learn) -> Outcome:
        """Sample groups by the old policy, then take `forward.updates` optimiser steps, each on a share of them."""
        rollout = self._rolled_out(np.random.default_rng([self.config.seed, step]))
        size = len(rollout.parts) // self.config.forward.updates
        tally, norms = Tally(TOLD), []
        for start in range(0, len(rollout.parts), size):
            # Whole groups, the same ones however many processes there are
            self._learner.backward(rollout.parts[start : start + size], rollout.lessons, tally)
            norms.append(learn())
        for copy in (self._old, self._sampling):
            if copy is not None:
                copy.move(step)
        judged, total = rollout.judged, rollout.scores.total
        warn_of_flat_groups(step, judged.flat_groups, self.config.batch_size // self.config.forward.group)
        details = tally.means(self.processes)
        loss = details.pop("loss")
        details["advantage_spread"] = judged.advantage.std(correction=0).item()
        details["advantages_cut"], details["zero_spread_groups"] = judged.cut, float(judged.flat_groups)
        parts = {name: values.mean().item() for name, values in rollout.scores.parts.items()}
        return Outcome(loss, total.mean().item(), parts, float(np.mean(norms)), details)

    def _drawing(self) -> AbstractContextManager[None]:
        """Inside, the generator is the policy that draws the samples."""
        drawing = self._sampling or self._old
        return nullcontext() if drawing is None else drawing.acting()

    def _rolled_out(self, rng: np.random.Generator) -> _Rollout:
        config, settings = self.config, self.config.forward
        groups, size = config.batch_size // settings.group, config.batch_size
        texts = [text for text in self.drawn_prompts(rng, groups) for _ in range(settings.group)]
        seeds, reward_seed = rng.integers(2**62, size=size).tolist(), int(rng.integers(2**31))
        levels, noise_seeds = self._learner.noising(rng, self.levels, size)
        with self._drawing():
            parts, own = drawn_parts(
                self.generator, self.objective, texts, seeds, self.own_parts(), self.levels, settings.rollout_guidance,
                reward_seed,
            )  # fmt: skip
        scores = scores_of_all(own, self.processes)
        ids = torch.arange(groups, device=scores.total.device).repeat_interleave(settings.group)
        judged = self._objective.judged(scores, self.objective.weights, ids, self._likelihoods)
        return _Rollout(parts, scores, judged, Lessons(ids, judged.advantage, levels, noise_seeds))
