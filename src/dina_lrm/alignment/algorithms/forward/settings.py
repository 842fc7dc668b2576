"""What runs of the forward process share, as plain values. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from dina_lrm.alignment.algorithms.transform import Transform, check_transform
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, NOT_NEGATIVE, check_ranges, ranged
from dina_lrm.typed import require

Schedule = Literal["copy", "slow", "late", "short", "firm"]
Config = TypeVar("Config", bound="ForwardConfig")


@dataclass(frozen=True)
class ForwardSettings:
    """Groups of samples of an older policy, judged clean, and learned from at noise levels of their own."""

    group: int = 16
    """Images a prompt, which are compared with each other."""
    updates: int = ranged(1, COUNT)
    """Optimiser steps that the groups of a batch are divided into."""
    old: Schedule = "slow"
    """How the policy that draws the samples follows the one that learns: copy = at once, slow = ever less over 500
    optimiser steps, late = at once for 75 and then hardly, short = within half a step, firm = ever less from the
    start, hardly after 150."""
    rollout_guidance: float = ranged(1.0, NOT_NEGATIVE)
    """Scale of guidance of the samples that are learned from; up to 1 there is none. Above it guidance is distilled
    too. Looks are guided by `generator.guidance`."""
    levels_per_image: int | None = ranged(None, COUNT)
    """Noise levels at which each image is learned from, one pass each; None = as many as the sampler has steps."""
    level_choice: Literal["sampler", "logit-normal"] = "sampler"
    """Which those are: the sampler's own, each image in an order of its own; or logit-normal ones, shifted towards
    noise as the generator's own are."""
    shared_noise: bool = False
    """Whether all images of a prompt are noised by one draw at one level, so that what tells them apart is in them."""
    advantage_clip: float = ranged(5.0, ABOVE_0)
    """Standard deviations from the mean of its group at which an image counts fully; beyond it is cut."""
    scope: Literal["group", "batch"] = "batch"
    """Whose standard deviation that is."""
    combination: Literal["sum", "normalised"] = "sum"
    """Several rewards: summed, or each normalised in its group first."""
    transform: Transform = "none"
    """win-rate: how often an image would be preferred to the others of its prompt, by the rewards' own likelihoods, in
    place of scores; of several rewards the weighted mean. Needs neither scale nor clip."""
    kl_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Weight of the mean squared distance to the base model's velocity in the loss; 0 = none."""
    kl_guidance: float = ranged(1.0, NOT_NEGATIVE)
    """Scale of guidance of that velocity; up to 1 there is none. Above it the policy, which learns without guidance, is
    drawn to what the guided base model does."""
    kl_by_reward: bool = False
    """Weigh that distance by how good each image is, from 0.0001 for the worst to `kl_weight` for the best: what is to
    be left behind is hardly held."""

    def __post_init__(self) -> None:
        check_ranges(self, "forward")
        require(self.group >= 2, "forward.group", self.group, "at least two images a prompt")
        check_transform("forward", self.transform, self.combination)


@dataclass(frozen=True)
class ForwardConfig(AlignConfig):
    """What complete runs of the forward process share. `batch_size` counts images per rollout."""

    forward: ForwardSettings = field(default_factory=ForwardSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        settings, size = self.forward, self.batch_size
        group = settings.group
        require(size % group == 0, "forward.group", group, f"a divisor of batch_size, {size}: groups are complete")
        steps, fewest = self.generator.sampling_steps, settings.levels_per_image or 1
        fits = settings.level_choice == "logit-normal" or fewest <= steps
        require(fits, "forward.levels_per_image", fewest, f"at most {steps}, generator.sampling_steps")
        whole = (size // group) % settings.updates == 0 and (size // self.micro_batch) % settings.updates == 0
        accepted = f"a divisor of {size // group} groups and of {size // self.micro_batch} micro-batches"
        require(whole, "forward.updates", settings.updates, accepted)

    @property
    def copies(self) -> int:
        """The older policy, unless it is always the one that learns."""
        return 0 if self.forward.old == "copy" and self.forward.updates == 1 else 1

    def smallest(self: Config, processes: int = 1) -> Config:
        """Two updates of as few whole groups as there are micro-batches for all processes."""
        few = replace(self, forward=replace(self.forward, updates=1))
        return super(ForwardConfig, few).smallest(processes)

    def _fewest(self, processes: int) -> int:
        return math.lcm(self.forward.group, self.micro_batch * processes)

    @property
    def sampling(self) -> Schedule | None:
        """How a copy of its own follows that draws the samples; None where it is the one of `forward.old`."""
        return None

    @property
    def win_rates(self) -> bool:
        """Whether rewards are compared by their win rates."""
        return self.forward.transform == "win-rate"

    @property
    def passes_per_image(self) -> int:
        """Noise levels at which each image is learned from."""
        return self.forward.levels_per_image or self.generator.sampling_steps
