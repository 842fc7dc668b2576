"""What a run of offline preference optimisation is, as plain values. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, check_ranges, ranged
from dina_lrm.typed import require


@dataclass(frozen=True)
class DpoSettings:
    """Offline preference optimisation: pairs of the generator's samples, drawn and judged once before the run."""

    prompts: int = ranged(256, COUNT)
    """Prompts that pairs are drawn for, one pair each."""
    candidates: int = 4
    """Samples a prompt, of which the reward's best and worst make the pair."""
    beta: float = ranged(2000.0, ABOVE_0)
    """How strongly a pair pulls: larger stays nearer to the base model."""

    def __post_init__(self) -> None:
        check_ranges(self, "dpo")
        require(self.candidates >= 2, "dpo.candidates", self.candidates, "at least two samples a prompt")


@dataclass(frozen=True)
class DpoConfig(AlignConfig):
    """A complete run of offline preference optimisation. `batch_size` counts pairs per update."""

    algorithm = "dpo"
    dpo: DpoSettings = field(default_factory=DpoSettings)

    def smallest(self, processes: int = 1) -> DpoConfig:
        """Two updates on one pair."""
        return super(DpoConfig, replace(self, dpo=replace(self.dpo, prompts=1, candidates=2))).smallest(processes)
