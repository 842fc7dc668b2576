"""What a run of CRAFT is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import COUNT, check_ranges, ranged
from dina_lrm.typed import require


@dataclass(frozen=True)
class CraftSettings:
    """Learning from the generator's own samples that several rewards prefer, drawn and filtered once before the run."""

    prompts: int = ranged(256, COUNT)
    """Prompts that samples are drawn for."""
    candidates: int = 4
    """Samples a prompt, the first of which is what others have to beat where `baseline` is first."""
    baseline: Literal["first", "mean"] = "first"
    """What a sample has to lie above by a reward: the first sample of its prompt, or the mean of all of them."""
    at_least: int | None = None
    """By how many rewards; None = all. One with a weight of 0 filters and does not weigh."""

    def __post_init__(self) -> None:
        check_ranges(self, "craft")
        require(self.candidates >= 2, "craft.candidates", self.candidates, "at least two samples a prompt")


@dataclass(frozen=True)
class CraftConfig(AlignConfig):
    """A complete run of CRAFT. `batch_size` counts images per update."""

    algorithm = "craft"
    craft: CraftSettings = field(default_factory=CraftSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        asked, there = self.craft.at_least, len(self.rewards)
        fits = asked is None or 1 <= asked <= there
        require(fits, "craft.at_least", asked, f"1 to {there} rewards, or None for all")

    @property
    def agreeing(self) -> int:
        """Rewards that have to prefer a sample."""
        return len(self.rewards) if self.craft.at_least is None else self.craft.at_least

    def smallest(self, processes: int = 1) -> CraftConfig:
        """Two updates on the better of two samples."""
        few = replace(self.craft, prompts=1, candidates=2, baseline="mean", at_least=1)
        return super(CraftConfig, replace(self, craft=few)).smallest(processes)
