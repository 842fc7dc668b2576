"""What learns from clean samples: noise, predictions, the loss of an objective and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.algorithm import in_batch_order
from dina_lrm.alignment.algorithms.forward.levels import logit_normal_levels, visited_levels
from dina_lrm.alignment.algorithms.forward.matching import per_sample, wide
from dina_lrm.alignment.algorithms.forward.objective import ForwardObjective
from dina_lrm.alignment.algorithms.forward.old_policy import OldPolicy
from dina_lrm.alignment.algorithms.forward.passes import Errors, Matched, Noised, errors_of
from dina_lrm.alignment.algorithms.forward.samples import CleanPart
from dina_lrm.alignment.algorithms.forward.settings import ForwardConfig
from dina_lrm.alignment.algorithms.forward.tally import Tally
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.runs.processes import Processes

TOLD: Final = ("loss", "deviation", "old_to_ref", "kl", "error_good", "error_bad")
"""What a tally has of every run."""
_LEAST_KL: Final = 1e-4
"""Weight of the KL of the worst samples, where it goes by rewards."""


@dataclass(frozen=True)
class Lessons:
    """What is drawn and known of all samples of a batch, in its order."""

    prompt_ids: Int64[Tensor, " samples"]
    advantage: Float[Tensor, " samples"]
    levels: Float[Tensor, "samples count"]
    """At which each image is learned from, one after another."""
    seeds: Int64[np.ndarray, "samples count"]
    """Of the noise at each of them."""


class Learner:
    """Accumulates the gradient of an objective on micro-batches of clean samples.

    Without an `old` policy the samples count as drawn by the one that learns.
    """

    def __init__(
        self,
        config: ForwardConfig,
        generator: Generator,
        objective: ForwardObjective[Any],
        old: OldPolicy | None,
        processes: Processes,
    ) -> None:
        self._config, self._generator, self._objective = config, generator, objective
        self._old, self._processes = old, processes
        self._kl = config.forward.kl_weight
        self._guided_kl = self._kl > 0 and config.forward.kl_guidance > 1

    def noising(
        self, rng: np.random.Generator, sampler: Float[Tensor, " levels"], samples: int
    ) -> tuple[Float[Tensor, "samples count"], Int64[np.ndarray, "samples count"]]:
        """The noise levels of every image of a batch of groups, and the seed of its noise at each."""
        settings, count = self._config.forward, self._config.passes_per_image
        repeats = settings.group if settings.shared_noise or self._objective.one_noise_a_group else 1
        drawn = samples // repeats
        if settings.level_choice == "sampler":
            levels = visited_levels(sampler, drawn, count, rng)
        else:
            levels = logit_normal_levels(self._generator.shift, drawn, count, rng)
        seeds = rng.integers(2**62, size=(drawn, count))
        return levels.repeat_interleave(repeats, dim=0), seeds.repeat(repeats, axis=0)

    def backward(self, share: Sequence[CleanPart], lessons: Lessons, tally: Tally) -> None:
        """Accumulate the mean over samples and levels; one forward pass with its graph is held at a time."""
        count = self._config.passes_per_image
        for number in range(count):
            states = [
                self._noised(part, lessons, number, told=number == 0 and place == 0) for place, part in enumerate(share)
            ]
            terms = self._of_groups(share, lessons, states)
            for part, state, term in zip(share, states, terms, strict=True):
                matched = self._matched(part, state, lessons, term)
                (self._total(matched, tally).mean() / (len(share) * count)).backward()

    def _noised(self, part: CleanPart, lessons: Lessons, number: int, told: bool) -> Noised:
        """A micro-batch at its levels of that number, with what those predict there that do not learn.

        Without a weight of the KL the base model's pass is only made where it is `told` how far the run has come.
        """
        generator, process = self._generator, self._generator.process
        noise = generator.noise(lessons.seeds[part.rows, number].tolist())
        level = lessons.levels[part.rows, number].to(noise.device)
        state = process.add_noise(part.latents, noise, level)
        found = Noised(state, process.velocity(part.latents, noise, level), level, part.conditioning)
        with torch.no_grad():
            if self._old is not None:
                with self._old.acting():
                    found = replace(found, old=self._velocity(found))
            if self._kl or self._objective.needs_reference or told:
                with generator.reference():
                    found = self._with_base(found)
        return found

    def _with_base(self, state: Noised) -> Noised:
        """The state with the velocity of the generator as it is, the base model, and the guided one beside it."""
        if not self._guided_kl:
            return replace(state, reference=self._velocity(state))
        guidance = self._config.forward.kl_guidance
        plain, guided = self._generator.plain_and_guided(state.state, state.level, state.conditioning, guidance)
        return replace(state, reference=plain, held_to=guided)

    def _velocity(self, state: Noised) -> Latents:
        return self._generator.velocity(state.state, state.level, state.conditioning)

    def _of_groups(
        self, share: Sequence[CleanPart], lessons: Lessons, states: Sequence[Noised]
    ) -> list[Float[Tensor, " samples"] | None]:
        """What the objective needs of complete groups, for each micro-batch; None where it compares none.

        A pass without gradient tells the errors of a group that several micro-batches share.
        """
        if not self._objective.compares_groups or self._whole_groups:
            return [None] * len(share)
        with torch.no_grad():
            own = [self._errors(self._velocity(state), state) for state in states]
        reference = [each.reference for each in own if each.reference is not None]
        errors = Errors(
            self._in_order([each.own for each in own]),
            self._in_order([each.old for each in own]),
            self._in_order(reference) if self._objective.needs_reference else None,
        )
        # Shares of all processes lie side by side in the batch; a process's first part is behind those before it
        first = share[0].rows.start - self._processes.index * self._config.micro_batch
        rows = slice(first, first + len(errors.own))
        found = self._objective.of_group(errors, lessons.advantage[rows], lessons.prompt_ids[rows])
        return [found[part.rows.start - first : part.rows.stop - first] for part in share]

    def _in_order(self, own: Sequence[Tensor]) -> Tensor:
        return in_batch_order(own, self._processes)

    @property
    def _whole_groups(self) -> bool:
        return self._config.micro_batch % self._config.forward.group == 0

    def _matched(
        self, part: CleanPart, state: Noised, lessons: Lessons, term: Float[Tensor, " samples"] | None
    ) -> Matched:
        velocity, advantage = self._velocity(state), lessons.advantage[part.rows]
        if self._objective.compares_groups and term is None:
            errors = self._errors(velocity, state)
            term = self._objective.of_group(errors, advantage, lessons.prompt_ids[part.rows])
        return Matched(velocity, state, self._generator.process.sigma(state.level), advantage, term)

    def _errors(self, velocity: Latents, state: Noised) -> Errors:
        return self._objective.errors(velocity, state, self._generator.process.sigma(state.level))

    def _total(self, matched: Matched, tally: Tally) -> Float[Tensor, " samples"]:
        """The loss of each sample, with its KL to the base model."""
        found, reference = self._objective.loss(matched), matched.noised.reference
        loss = found.loss
        if reference is not None:
            tally.add("old_to_ref", per_sample((wide(matched.old) - wide(reference)).square()))
        if self._kl and reference is not None:
            held_to = reference if matched.noised.held_to is None else matched.noised.held_to
            distance = per_sample((wide(matched.velocity) - wide(held_to)).square())
            loss = loss + self._kl_weights(matched) * distance
            tally.add("kl", distance)
        error, advantage = errors_of(matched.velocity, matched.noised).own, matched.advantage
        tally.add("loss", loss)
        tally.add("deviation", matched.deviation)
        tally.add("error_good", error, advantage > 0)
        tally.add("error_bad", error, advantage < 0)
        for name, values in found.logs.items():
            tally.add(name, values)
        return loss

    def _kl_weights(self, matched: Matched) -> float | Float[Tensor, " samples"]:
        """The weight of each sample's KL."""
        if not self._config.forward.kl_by_reward:
            return self._kl
        return kl_weights(self._objective.optimality(matched.advantage), self._kl)


def kl_weights(optimality: Float[Tensor, " samples"], weight: float) -> Float[Tensor, " samples"]:
    """The KL's weight w for samples that are so good: w (m + r (1 - m)) with m = min(1, 1e-4 / w), r in [0, 1].

    The reward-adaptive KL of CRD (arXiv 2603.14128).
    """
    least = min(1.0, _LEAST_KL / weight)
    return weight * (least + optimality * (1 - least))
