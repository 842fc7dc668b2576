"""How states on the way are scored: themselves, the clean latents that they point at, or an ODE's end from them.

A reading is a function of a rollout; scores of a state are comparable among the images of a prompt.

| reading | asks | costs a state |
|---|---|---|
| `noisy` | the reward at the state's own noise level, without the LoRA that learns | the reward, or its head alone |
| `clean` | the reward of the clean latents that the velocity of sampling points at | the reward |
| `look-ahead` | the reward of where an ODE of the policy leads from there | the ODE's steps and the reward |

The head alone is enough where a KL to the base model is computed and its pass is the reward's own: it is then made in
the rollout instead of the update. Where the sample itself went the way of the ODE, its reward is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.rollout import Rollout, Transition
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Kernel, Ode
from dina_lrm.sampling.ledger import in_pass_of
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.step_scores import StepScorer


@dataclass(frozen=True)
class State:
    """States of some images at one noise level, with the velocity that sampling had there."""

    x: Latents
    level: Float[Tensor, ""]
    velocity: Latents


@dataclass(frozen=True)
class Asked:
    """Whose states they are: the images' prompts, the seed of the reward's noise, and the reward of their ends."""

    prompts: Sequence[str]
    seed: int
    conditioning: Conditioning
    final: Float[Tensor, " images"]


@dataclass(frozen=True)
class Read:
    """Scores of the states before, between and after the stochastic steps, and the rollout, with what came along."""

    scores: Float[Tensor, "images states"]
    rollout: Rollout
    passes: int
    """Evaluations of the reward an image that were none of the finished sample."""


def states_of(rollout: Rollout) -> list[State]:
    """The states before, between and after its stochastic steps."""
    taken = rollout.transitions
    assert rollout.after is not None, "a window ends before the last step"
    states = [State(each.x, each.level, each.velocity) for each in taken]
    return [*states, State(taken[-1].x_next, taken[-1].next_level, rollout.after)]


class StateReader:
    """Reads the states of a generator's rollouts in one way.

    `base` asks for the step of the base model at each state too: its pass is the reward's own where that is exact.

    Raises:
        ValueError: for `noisy` with anything but one latent reward.
    """

    def __init__(
        self, generator: Generator, objective: Objective, settings: DenseSettings, levels: Tensor, kernel: Kernel,
        base: bool,
    ) -> None:  # fmt: skip
        self._generator, self._objective, self._settings = generator, objective, settings
        self._levels, self._kernel = levels, kernel
        self._scorer = StepScorer(generator, objective, "noisy" if settings.reading == "noisy" else "clean")
        with generator.reference():
            self._in_pass = in_pass_of(generator, objective) if base and settings.reading == "noisy" else None

    @torch.no_grad()
    def __call__(self, rollout: Rollout, asked: Asked) -> Read:
        """Score all states of a rollout. ValueError for a score that is not finite."""
        if self._settings.reading == "noisy":
            return self._noisy(rollout, asked)
        states, settings = states_of(rollout), self._settings
        if settings.reading == "clean":
            columns = [self._clean(state, asked) for state in states]
            return Read(torch.stack(columns, dim=1), rollout, len(columns))
        ends = [self._end(state, asked, state is states[-1]) for state in states]
        columns = [asked.final if end is None else self._scored(end, asked) for end in ends]
        return Read(torch.stack(columns, dim=1), rollout, sum(end is not None for end in ends))

    def noisy(self, x: Latents, level: Tensor, prompts: Sequence[str], conditioning: Conditioning) -> Tensor:
        """Score states at their own noise level, as the objective weighs its one reward."""
        (weight,) = self._objective.weights.values()
        return weight * self._scorer.noisy(x, level, prompts, conditioning)

    def _noisy(self, rollout: Rollout, asked: Asked) -> Read:
        taken, columns = [], []
        for each in rollout.transitions:
            if self._in_pass is None:
                columns.append(self.noisy(each.x, each.level, asked.prompts, asked.conditioning))
                taken.append(each)
            else:
                score, with_base = self._with_base(each, asked)
                columns.append(score)
                taken.append(with_base)
        last = rollout.transitions[-1]
        columns.append(self.noisy(last.x_next, last.next_level, asked.prompts, asked.conditioning))
        passes = 1 if self._in_pass is not None else len(columns)
        return Read(torch.stack(columns, dim=1), replace(rollout, transitions=tuple(taken)), passes)

    def _with_base(self, taken: Transition, asked: Asked) -> tuple[Tensor, Transition]:
        """The score of a state, and its step with that of the base model, from one pass of the base model."""
        assert self._in_pass is not None
        (weight,) = self._objective.weights.values()
        with self._generator.reference():
            velocity, raw = self._in_pass(taken.x, taken.level, asked.conditioning, self._generator.guidance)
        process, ends = self._generator.process, (taken.level, taken.next_level)
        base = self._kernel.step(process, taken.x, velocity, *ends)
        score = self._objective.latent_model("dense credit").model.normalize(raw)
        return weight * score, replace(taken, base=base)

    def _clean(self, state: State, asked: Asked) -> Tensor:
        clean = self._generator.process.clean_from_velocity(state.x, state.velocity, state.level)
        return self._scored(clean, asked)

    def _scored(self, clean: Latents, asked: Asked) -> Tensor:
        return self._objective(clean, asked.prompts, asked.seed, asked.conditioning).total

    def _end(self, state: State, asked: Asked, last: bool) -> Latents | None:
        """Where an ODE from a state leads; None where the sample went that way itself, as from the last state."""
        first = int((self._levels == state.level).nonzero()[0])
        left = len(self._levels) - 1 - first
        steps = min(self._settings.look_ahead or left, left)
        if last and steps == left:
            return None
        numbers = torch.linspace(first, first + left, steps + 1).round().long()
        levels, x, velocity = self._levels[numbers], state.x, state.velocity
        for number in range(steps):
            if number:
                velocity = self._generator.velocity(x, levels[number], asked.conditioning, self._generator.guidance)
            x = Ode().step(self._generator.process, x, velocity, levels[number], levels[number + 1]).mean
        return x
