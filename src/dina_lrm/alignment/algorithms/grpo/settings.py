"""What a run of Flow-GRPO is, as plain values. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.transform import Transform, check_transform
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
    trust: Literal["clip", "divergence"] = "clip"
    """What ends an update: a ratio beyond 1 +- clip, or a step that diverged from the old policy (FlowDPPO)."""
    clip: float = 1e-5
    """Ratios of likelihoods beyond 1 +- clip have no gradient."""
    divergence: float = ranged(1e-5, ABOVE_0)
    """divergence: the KL of a step from the old policy's, a mean over dimensions, from which on a ratio that goes
    further has no gradient."""
    credit: Literal["final", "dense"] = "final"
    """What a step is credited with: the reward of the finished sample, or what the step itself gained."""
    dense: DenseSettings = field(default_factory=DenseSettings)
    step_weights: Literal["equal", "tempflow"] = "equal"
    """Weights of the steps' losses: equal, or TempFlow's, by the noise that a step adds."""
    advantage_clip: float = ranged(5.0, ABOVE_0)
    """Advantages beyond +- this are cut."""
    scope: Literal["group", "batch"] = "group"
    """Whose standard deviation advantages are divided by."""
    combination: Literal["sum", "normalised"] = "sum"
    """Several rewards: summed, or each normalised in its group first."""
    transform: Transform = "none"
    """win-rate: how often an image would be preferred to the others of its prompt, by the rewards' own likelihoods, in
    place of scores; of several rewards the weighted mean. Advantages are then divided by a deviation all the same."""
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
    kl_gate: tuple[str, ...] = ()
    """Auxiliary rewards, by name, that nothing is optimised for: the KL is only for images that the reward ranks higher
    than they do (GARDO)."""
    kl_share: float = ranged(0.1, UNIT_ABOVE_0)
    """kl_gate: the largest share of a batch that the KL is for; 1 = all images."""
    reset_every: int | None = ranged(None, COUNT)
    """Updates after which the policy as it is becomes what the KL is to, in place of the base model (GARDO: 15); None =
    never for that."""
    reset_kl: float | None = ranged(None, ABOVE_0)
    """Mean KL of an update above which it becomes that too (GARDO: 3e-4, `kl` of metrics.jsonl); None = never for
    that."""
    diverse: bool = False
    """Multiply advantages above 0 by how far an image's clean latents are from the nearest of its group, in
    means of the group (GARDO)."""

    def __post_init__(self) -> None:
        require(self.group >= 2, "grpo.group", self.group, "at least two images a prompt")
        check_ranges(self, "grpo")
        check_transform("grpo", self.transform, self.combination)
        final = self.transform == "none" or self.credit != "dense"
        require(final, "grpo.credit", self.credit, "final with grpo.transform win-rate: it compares finished samples")
        require(0 < self.clip < 1, "grpo.clip", self.clip, "a number between 0 and 1")
        guarded = not (self.guard and self.kernel == "cps")
        require(guarded, "grpo.guard", self.guard, "Gaussian kernels (flow-sde, ddim)")
        self._check_trust()
        self._check_credit()
        gated = not self.kl_gate or self.kl_weight > 0
        require(gated, "grpo.kl_gate", self.kl_gate, "grpo.kl_weight above 0, the KL that it opens")
        once = len(set(self.kl_gate)) == len(self.kl_gate)
        require(once, "grpo.kl_gate", self.kl_gate, "each auxiliary reward once")

    @property
    def resets(self) -> bool:
        """Whether the KL is to a reference that follows the policy."""
        return self.kl_weight > 0 and (self.reset_every is not None or self.reset_kl is not None)

    def _check_trust(self) -> None:
        """What takes a step's scale out of its loss is there once, and knows a Gaussian step's density."""
        gaussian = self.kernel != "cps"
        trusted = self.trust == "clip" or gaussian
        require(trusted, "grpo.trust", self.trust, "clip with the kernel cps, which leaves the scale out")
        plain = self.trust == "clip" or not self.guard
        require(plain, "grpo.guard", self.guard, "false with grpo.trust divergence, which has a ratio of its own")
        weighted = self.step_weights == "equal"
        known = weighted or gaussian
        require(known, "grpo.step_weights", self.step_weights, "equal with the kernel cps, whose loss knows no scale")
        once = weighted or not self.guard
        require(once, "grpo.step_weights", self.step_weights, "equal with grpo.guard, which has the same factor")

    def _check_credit(self) -> None:
        dense = self.credit == "dense"
        own = not dense or self.scope == "group"
        require(own, "grpo.scope", self.scope, "group with grpo.credit dense; grpo.dense.scope is that of its gains")
        summed = not dense or self.combination == "sum"
        require(summed, "grpo.combination", self.combination, "sum with grpo.credit dense")


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
        golden = self.looks.golden
        witnesses = golden is None or golden not in self.grpo.kl_gate
        require(witnesses, "grpo.kl_gate", golden, "rewards that are not looks.golden, which nothing may be decided by")
        noisy = self.grpo.credit == "dense" and self.grpo.dense.reading == "noisy"
        names = [term.shown for term in self.rewards]
        one = not noisy or len(names) == 1
        require(one, "grpo.dense.reading", f"noisy with {names}", "one latent reward, or clean, look-ahead")
        fits = self.grpo.window == "every" or self.grpo.window_steps <= last
        require(fits, "grpo.window_steps", self.grpo.window_steps, f"at most {last}")

    @property
    def copies(self) -> int:
        """The reference of the KL, where it does not stay the base model."""
        return int(self.grpo.resets)

    @property
    def win_rates(self) -> bool:
        """Whether rewards are compared by their win rates."""
        return self.grpo.transform == "win-rate"

    def smallest(self, processes: int = 1) -> GrpoConfig:
        """Two updates of as few whole groups as there are micro-batches for all processes."""
        return super(GrpoConfig, replace(self, grpo=replace(self.grpo, updates=1))).smallest(processes)

    def _fewest(self, processes: int) -> int:
        return math.lcm(self.grpo.group, self.micro_batch * processes)
