"""What a run of offline preference optimisation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, NOT_NEGATIVE, check_ranges, ranged
from dina_lrm.typed import require

DpoKind = Literal["dpo", "ipo", "kto"]
ErrorWeighting = Literal["velocity", "noise", "elbo"]
RewardUse = Literal["judges", "filters", "labels"]


@dataclass(frozen=True)
class DpoSettings:
    """Offline preference optimisation: on pairs that were given, or on the generator's samples, drawn and judged once
    before the run.
    """

    prompts: int = ranged(256, COUNT)
    """Without --pairs: prompts that pairs are drawn for, one pair each."""
    candidates: int = 4
    """Without --pairs: samples a prompt, of which the reward's best and worst make the pair."""
    beta: float = ranged(2000.0, ABOVE_0)
    """How strongly a pair pulls: larger stays nearer to the base model."""
    kind: DpoKind = "dpo"
    """The loss: dpo; ipo, which stops at a margin; or, with --pairs, kto, which learns from each picture by itself."""
    weighting: ErrorWeighting = "velocity"
    """How errors of noise levels count: as errors of the velocity (1), of the noise ((1 - t)^2 of a flow), or as the
    evidence bound has them ((1 - t) / t, of a flow)."""
    winner_weight: float = ranged(0.0, NOT_NEGATIVE)
    """Times the winner's error, added to the loss: against winners that get worse while losers get worse faster."""
    liked_weight: float = ranged(1.0, NOT_NEGATIVE)
    """kto: weight of pictures that are liked."""
    disliked_weight: float = ranged(1.0, NOT_NEGATIVE)
    """kto: weight of pictures that are not."""
    liked_from: float | None = None
    """--pairs with ratings: the least that counts as liked."""
    reward: RewardUse = "judges"
    """With --pairs: the reward judges the looks alone; or it filters, leaving pairs out where it prefers the other
    picture; or it labels, saying P(preferred) in people's place. It cannot judge what it chose: name another golden."""

    def __post_init__(self) -> None:
        check_ranges(self, "dpo")
        require(self.candidates >= 2, "dpo.candidates", self.candidates, "at least two samples a prompt")
        some = self.liked_weight + self.disliked_weight > 0
        require(some, "dpo.liked_weight", self.liked_weight, "above 0, or dpo.disliked_weight above 0")
        finite = self.liked_from is None or math.isfinite(self.liked_from)
        require(finite, "dpo.liked_from", self.liked_from, "a finite number")
        labels = self.reward != "labels" or self.kind != "kto"
        require(labels, "dpo.reward", self.reward, "judges or filters with dpo.kind kto")


@dataclass(frozen=True)
class DpoConfig(AlignConfig):
    """A complete run of offline preference optimisation. `batch_size` counts pairs per update (of kto: pictures)."""

    algorithm = "dpo"
    dpo: DpoSettings = field(default_factory=DpoSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [term.name for term in self.rewards]
        sure = self.dpo.reward != "labels" or (len(names) == 1 and names[0].startswith("latent:"))
        accepted = f"judges or filters with {', '.join(names)}; labels with one reward latent:MODEL"
        require(sure, "dpo.reward", self.dpo.reward, accepted)

    def smallest(self, processes: int = 1) -> DpoConfig:
        """Two updates on one pair."""
        return super(DpoConfig, replace(self, dpo=replace(self.dpo, prompts=1, candidates=2))).smallest(processes)
