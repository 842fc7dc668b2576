"""The options of `dina-lrm ablate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.studies import StudyArguments, check_study
from dina_lrm.experiments.ablations.tables import ABLATIONS, ablation
from dina_lrm.experiments.ablations.variants import PAIRS, PROMPTS, STEPS


@dataclass
class Arguments(StudyArguments):
    """Train and measure the models of an ablation, three seeds each; go on where an earlier run stopped.

    A model takes three to four minutes on one core, so that the whole set is about four hours of one core; what
    OUT/cells holds is not trained again, and two ablations share the models they have in common. Names: judges,
    adaptation, families, noise, noise-level, uncertainty, depth, taps, beyond, or all.

    Example:
        dina-lrm ablate depth --seeds 0 1 2 --out ablations
    """

    out: Path = Path("ablations")
    """Folder for cells/, results.json and plots/; the page beside it has its name, OUT.md."""
    steps: int = STEPS
    """Training steps of each model."""
    prompts: int = PROMPTS
    """Training prompts, eight pictures each."""
    pairs: int = PAIRS
    """Pairs of each test set."""

    def check(self) -> None:
        """Refuse unknown names, numbers out of range, and results that are somebody else's."""
        counts = {"steps": self.steps, "prompts": self.prompts, "pairs": self.pairs}
        check_study(self, "ablation", ABLATIONS, ablation, "dina-lrm ablate", counts)
