"""The methods of sampling by name, as a person chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from dina_lrm.sampling.cuts import default_cuts, parsed_cuts
from dina_lrm.sampling.guidance import RewardGuidance
from dina_lrm.sampling.job import Method
from dina_lrm.sampling.noise_search import NoiseSearch
from dina_lrm.sampling.pruning import Pruning
from dina_lrm.sampling.selection import SamplingPlan


@dataclass(frozen=True)
class MethodChoice:
    """A method by name, with the settings of each: only those of the one that is named count."""

    name: Literal["best-of-n", "pruned", "guided", "noise-search"]
    prune: Sequence[str] = ()
    reading: Literal["clean", "noisy", "in-pass"] = "clean"
    strength: float = 0.1
    radius: float = 0.5
    width: int = 4

    def method(self, plan: SamplingPlan, levels: Float[Tensor, " levels"]) -> Method:
        """The method for a plan and the noise levels of a sampler; raises ValueError for cuts that are none."""
        if self.name == "pruned":
            return Pruning(parsed_cuts(self.prune, levels) or default_cuts(plan.n, plan.steps), self.reading)
        if self.name == "guided":
            return RewardGuidance(self.strength)
        return NoiseSearch(self.width, self.radius) if self.name == "noise-search" else None
