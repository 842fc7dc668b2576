"""What a run of Flow-GRPO is, as plain values. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, NOT_NEGATIVE, UNIT_ABOVE_0, check_ranges, ranged
from dina_lrm.typed import require


@dataclass(frozen=True)
class GrpoSettings:
    """Group-relative policy optimisation: which steps are stochastic, and how rewards become a loss."""

    group: int = 18
    """Images a prompt, which are compared with each other."""
    kernel: Literal["flow-sde", "cps", "ddim"] = "flow-sde"
    """A stochastic step; variance-preserving generators have cps and ddim."""
    eta: float = ranged(0.7, ABOVE_0)
    """How much noise a stochastic step adds, as a factor."""
    window: Literal["every", "first", "random", "sliding"] = "first"
    """Which steps are stochastic and trained; "every" is Flow-GRPO, the others are Flow-GRPO-Fast."""
    window_steps: int = ranged(3, COUNT)
    """Steps that are stochastic and trained, where `window` is not every."""
    window_until: float = ranged(0.5, UNIT_ABOVE_0)
    """random: the share of the schedule in which it lies."""
    window_period: int = ranged(25, COUNT)
    """sliding: updates after which it moves on."""
    shared_noise: bool = False
    """Whether the images of a prompt begin with the same noise, so that only the window tells them apart."""
    clip: float = 1e-5
    """Ratios of likelihoods beyond 1 +- clip have no gradient."""
    advantage_clip: float = ranged(5.0, ABOVE_0)
    """Advantages beyond +- this are cut."""
    scope: Literal["group", "batch"] = "group"
    """Whose standard deviation advantages are divided by."""
    combination: Literal["sum", "normalised"] = "sum"
    """Several rewards: summed, or each normalised in its group first."""
    guard: bool = False
    """GRPO-Guard's centred log-ratio and weights."""
    updates: int = ranged(2, COUNT)
    """Optimiser steps that the images of a batch are divided into."""
    drop_flat_groups: bool = False
    """Leave groups whose images all got one reward out of the loss. Else they count with an advantage of 0, which
    dilutes what others teach, and their KL counts too. The log has their number either way."""
    kl_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Weight of the KL to the base model in the loss; 0 = none."""
    kl: Literal["exact", "flow-grpo"] = "exact"
    """How that KL is computed: of the Gaussian steps themselves, or as Flow-GRPO's code does."""

    def __post_init__(self) -> None:
        require(self.group >= 2, "grpo.group", self.group, "at least two images a prompt")
        check_ranges(self, "grpo")
        require(0 < self.clip < 1, "grpo.clip", self.clip, "a number between 0 and 1")
        guarded = not (self.guard and self.kernel == "cps")
        require(guarded, "grpo.guard", self.guard, "Gaussian kernels (flow-sde, ddim)")


@dataclass(frozen=True)
class GrpoConfig(AlignConfig):
    """A complete run of Flow-GRPO, or of Flow-GRPO-Fast where few steps are stochastic."""

    algorithm = "flow-grpo"
    grpo: GrpoSettings = field(default_factory=GrpoSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        group, parts = self.grpo.group, self.batch_size // self.micro_batch
        require(self.batch_size % group == 0, "grpo.group", group, f"a divisor of batch_size, {self.batch_size}")
        updates = self.grpo.updates
        require(parts % updates == 0, "grpo.updates", updates, f"a divisor of {parts} micro-batches")
        last = self.generator.sampling_steps - 1
        fits = self.grpo.window == "every" or self.grpo.window_steps <= last
        require(fits, "grpo.window_steps", self.grpo.window_steps, f"at most {last}")

    def smallest(self, processes: int = 1) -> GrpoConfig:
        """Two updates of as few whole groups as there are micro-batches for all processes."""
        return super(GrpoConfig, replace(self, grpo=replace(self.grpo, updates=1))).smallest(processes)

    def _fewest(self, processes: int) -> int:
        return math.lcm(self.grpo.group, self.micro_batch * processes)
