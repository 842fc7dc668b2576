r"""Best-of-N: draw N samples of a prompt, keep the one that the reward likes best; prune to pay for fewer steps.

    plain    N trajectories to the end, N scores
    pruned   at each cut the states are scored and the worst dropped; only what is left is paid for from there on

Trajectories are deterministic and do not see each other: pruned best-of-N chooses among the very samples that
plain best-of-N draws from the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.generators.kernels import Ode
from dina_lrm.sampling.guidance import RewardGuidance, guided_velocity
from dina_lrm.sampling.ledger import Ledger
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.pruning import Cut, Pruning, survivors
from dina_lrm.sampling.selection import Candidate, OnPictures, SamplingPlan, Selection
from dina_lrm.sampling.step_scores import StepScorer
from dina_lrm.typed import DinaError


def best_of_n(
    generator: Generator,
    objective: Objective,
    prompts: Sequence[str],
    plan: SamplingPlan,
    pruning: Pruning | None = None,
    guidance: RewardGuidance | None = None,
    report: OnPictures | None = None,
    guides: Objective | None = None,
) -> list[Selection]:
    """The best of `plan.n` candidates of each prompt by the objective; with `guidance` each is pulled up its gradient,
    or up those of `guides`, each at one size.

    Raises:
        ValueError: before anything is sampled, for an empty or too long prompt, a schedule that does not fit the plan,
            and rewards without what the schedule or the guidance needs; later for a score that is not finite.
    """
    if not prompts:
        raise DinaError("prompts: got none; accepted: at least one")
    conditioning = generator.encode_prompts(prompts)
    run = _Run(generator, objective, plan, pruning, guidance, guides)
    found: list[Selection] = []
    together = max(1, plan.batch_size // plan.n)
    for start in range(0, len(prompts), together):
        rows = list(range(start, min(start + together, len(prompts))))
        found += run.select(rows, [prompts[row] for row in rows], conditioning[rows])
        if report is not None:
            report(len(found), len(prompts))
    return found


@dataclass(frozen=True)
class _State:
    """Candidates that are left: their numbers, and where they are."""

    rows: Int[Tensor, " left"]
    x: Float[Tensor, "left channels height width"]

    def kept(self, places: Int[Tensor, " kept"]) -> _State:
        return _State(self.rows[places], self.x[places.to(self.x.device)])


@final
class _Run:
    """Candidates of a few prompts: row p n + j is candidate j of prompt p."""

    def __init__(
        self,
        generator: Generator,
        objective: Objective,
        plan: SamplingPlan,
        pruning: Pruning | None,
        guidance: RewardGuidance | None,
        guides: Objective | None,
    ) -> None:
        if pruning is not None:
            pruning.check(plan.n, plan.steps)
        self._generator, self._objective, self._plan = generator, objective, plan
        self._pruning, self._guidance, self._guides = pruning, guidance, guides
        self._scorer = StepScorer(generator, objective, "clean" if pruning is None else pruning.reading)
        self._levels = generator.levels(plan.steps)
        self._prompts: list[str] = []
        self._conditioning: Conditioning
        self._ledger = Ledger(0)
        self._step_scores: list[dict[int, float]] = []

    @torch.no_grad()
    def select(self, numbers: Sequence[int], prompts: Sequence[str], conditioning: Conditioning) -> list[Selection]:
        n = self._plan.n
        seeds = [seed for number in numbers for seed in self._plan.seeds(number)]
        self._prompts = [prompt for prompt in prompts for _ in range(n)]
        self._conditioning = conditioning.repeat_interleave(n)
        self._ledger, self._step_scores = Ledger(len(seeds)), [{} for _ in seeds]
        start = self._generator.start(self._generator.noise(seeds), self._levels[0])
        state = _State(torch.arange(len(seeds)), start)
        for step, (level, following) in enumerate(pairwise(self._levels)):
            state, velocity = self._velocity(state, step, level)
            velocity = self._guided(state, velocity, level)
            state = replace(state, x=Ode().step(self._generator.process, state.x, velocity, level, following).mean)
        scores = self._parts(self._final, state)
        self._spend_score(state)
        return self._selections(prompts, seeds, state, scores)

    def _velocity(self, state: _State, step: int, level: Tensor) -> tuple[_State, Latents]:
        """The velocity of those that survive the step's cut, where it has one."""
        cut = None if self._pruning is None else self._pruning.at(step)
        reading = None if self._pruning is None or cut is None else self._pruning.reading
        if cut is not None and reading == "noisy":
            scores = self._parts(lambda s: self._scorer.noisy(s.x, level, *self._told(s)), state)
            self._ledger.add("reward", state.rows.tolist())
            state = state.kept(self._survivors(state, scores, cut))
        self._ledger.add("generator", state.rows.tolist(), self._generator.passes_per_step)
        if cut is not None and reading == "in-pass":
            self._ledger.add("head", state.rows.tolist())
            velocity, scores = self._pairs(lambda s: self._scorer.in_pass(s.x, level, *self._told(s)), state)
        else:
            velocity = self._parts(
                lambda s: self._generator.velocity(s.x, level, self._told(s)[1], self._generator.guidance), state
            )
        if cut is None or reading == "noisy":
            return state, velocity
        if reading == "clean":
            scores = self._clean(state, velocity, level)
        places = self._survivors(state, scores, cut)
        return state.kept(places), velocity[places.to(velocity.device)]

    def _clean(self, state: _State, velocity: Latents, level: Tensor) -> Float[Tensor, " left"]:
        self._spend_score(state)
        spans = self._spans(state)
        parts = [(state.kept(span), velocity[span.to(velocity.device)]) for span in spans]
        return torch.cat([self._scorer.clean(s.x, v, level, *self._told(s)) for s, v in parts])

    def _guided(self, state: _State, velocity: Latents, level: Tensor) -> Latents:
        if self._guidance is None or not self._guidance.guides(level.item()):
            return velocity
        self._ledger.add("reward_gradient", state.rows.tolist())
        parts = []
        for span in self._spans(state):
            s, v = state.kept(span), velocity[span.to(velocity.device)]
            guides, told = self._guides or self._objective, (s.x, v, level, *self._told(s), self._guidance.strength)
            parts.append(guided_velocity(self._generator, guides, *told, together=self._guides is not None))
        return torch.cat(parts)

    def _final(self, state: _State) -> Float[Tensor, " left"]:
        prompts, conditioning = self._told(state)
        return self._objective(state.x, prompts, conditioning=conditioning).total

    def _survivors(self, state: _State, scores: Tensor, cut: Cut) -> Int[Tensor, " kept"]:
        scores = scores.cpu()
        for row, score in zip(state.rows.tolist(), scores.tolist(), strict=True):
            self._step_scores[row][cut.step] = score
        return survivors(scores, state.rows // self._plan.n, cut)

    def _selections(
        self, prompts: Sequence[str], seeds: Sequence[int], state: _State, scores: Tensor
    ) -> list[Selection]:
        finished = dict(zip(state.rows.tolist(), scores.tolist(), strict=True))
        n, found = self._plan.n, []
        for p, prompt in enumerate(prompts):
            rows = range(p * n, p * n + n)
            candidates = tuple(
                Candidate(seeds[row], finished.get(row), self._ledger.of(row), self._step_scores[row]) for row in rows
            )
            best = max((row for row in rows if row in finished), key=lambda row: finished[row])
            place = int((state.rows == best).nonzero())
            found.append(Selection(prompt, candidates, best - p * n, state.x[place : place + 1]))
        return found

    def _spend_score(self, state: _State) -> None:
        self._ledger.add("reward", state.rows.tolist())
        self._ledger.add("decoder", state.rows.tolist(), self._objective.decodings)

    def _told(self, state: _State) -> tuple[list[str], Conditioning]:
        rows = state.rows.tolist()
        return [self._prompts[row] for row in rows], self._conditioning[rows]

    def _spans(self, state: _State) -> tuple[Int[Tensor, " some"], ...]:
        return torch.arange(len(state.rows)).split(self._plan.batch_size)

    def _parts(self, read: Callable[[_State], Tensor], state: _State) -> Tensor:
        return torch.cat([read(state.kept(span)) for span in self._spans(state)])

    def _pairs(self, read: Callable[[_State], tuple[Tensor, Tensor]], state: _State) -> tuple[Tensor, Tensor]:
        velocities, scores = zip(*(read(state.kept(span)) for span in self._spans(state)), strict=True)
        return torch.cat(velocities), torch.cat(scores)
