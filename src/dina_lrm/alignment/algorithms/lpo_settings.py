"""What a run of latent preference optimisation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, UNIT_ABOVE_0, check_ranges, ranged
from dina_lrm.typed import require


@dataclass(frozen=True)
class LpoSettings:
    """Latent preference optimisation: pairs of candidates of a step, judged at their own noise level."""

    candidates: int = 4
    """Next states drawn from each state."""
    kernel: Literal["flow-sde", "cps", "ddim"] = "flow-sde"
    """The step that draws them; variance-preserving generators have cps and ddim (eta = 1 is the paper's)."""
    eta: float = ranged(0.7, ABOVE_0)
    """How much noise the step that draws candidates adds, as a factor."""
    highest: float = ranged(0.95, UNIT_ABOVE_0)
    """Noise level above which nothing is trained: 0.95 of the paper, 0.75 of earlier step-level methods."""
    scored: Literal["noisy", "clean"] = "noisy"
    """What the reward sees of a candidate: itself, or the clean latents that the generator predicts from it."""
    scored_at: Literal["candidate", "state"] = "candidate"
    """The noise level that the reward is told: the candidate's own, or that of the state it was drawn from, as in the
    published code of LPO."""
    last_step: bool = False
    """Train the last step too, as the published code does. For its pairs, ddim and cps draw it to the level of the
    first timestep, .001, since they have no noise at level 0, where it leads to clean latents. Samples end as they do
    without."""
    low: float = 0.35
    """The threshold on P(best) - P(worst) where candidates differ least."""
    high: float = 0.5
    """The threshold on P(best) - P(worst) where candidates differ most."""
    quantity: Literal["std", "variance", "level"] = "std"
    """What the threshold between the two is linear in: the step's deviation, its square, or the noise level."""
    beta: float = ranged(500.0, ABOVE_0)
    """How strongly a pair pulls: larger stays nearer to the base model."""
    epsilon: float = 0.1
    """Ratios beyond 1 +- epsilon are clipped."""
    updates: int = ranged(1, COUNT)
    """Optimiser steps that the pairs, or the groups, of a batch are divided into."""
    loss: Literal["pair", "group"] = "pair"
    """What is learned from the candidates of a state: that the best is preferred to the worst, or how each stands among
    all (Step-GRPO), by the clipped surrogate of their likelihoods."""
    clip: float = ranged(1e-3, UNIT_ABOVE_0)
    """group: ratios of likelihoods beyond 1 +- clip have no gradient; below 1."""

    def __post_init__(self) -> None:
        require(self.candidates >= 2, "lpo.candidates", self.candidates, "at least two")
        check_ranges(self, "lpo")
        told = self.scored == "noisy" or self.scored_at == "candidate"
        require(told, "lpo.scored_at", self.scored_at, "candidate with lpo.scored clean: what is clean has no level")
        require(0 <= self.low <= self.high < 1, "lpo.low, lpo.high", (self.low, self.high), "0 <= low <= high < 1")
        require(0 < self.epsilon < 1, "lpo.epsilon", self.epsilon, "a number between 0 and 1")
        require(self.clip < 1, "lpo.clip", self.clip, "a number between 0 and 1")


@dataclass(frozen=True)
class LpoConfig(AlignConfig):
    """A complete run of latent preference optimisation. `batch_size` counts trajectories per update."""

    algorithm = "lpo"
    lpo: LpoSettings = field(default_factory=LpoSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = len(self.rewards) == 1 and self.rewards[0].weight == 1
        require(
            plain, "rewards", [(term.shown, term.weight) for term in self.rewards], "one reward of weight 1 for LPO"
        )
