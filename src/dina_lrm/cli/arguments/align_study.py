"""The options of `dina-lrm align study`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.studies import StudyArguments, check_study
from dina_lrm.experiments.alignment.studies import ALIGNMENT_STUDIES, alignment_study


@dataclass
class Arguments(StudyArguments):
    """Align a generator of the synthetic world in many ways, and say what it was truly worth.

    A run takes two to five minutes of one core; what OUT/cells holds is not run again. Names: rewards, algorithms,
    preferences, objectives, hacking, or all.

    Example:
        dina-lrm align study hacking --seeds 0 1 2 --out alignment
    """

    out: Path = Path("alignment")
    """Folder for cells/, results.json, plots/ and pictures/; the page beside it has its name, OUT.md."""
    steps: int | None = None
    """Updates of each run; by default as many as its recipe has."""
    looked_at: int = 96
    """Prompts of a look, one picture each."""

    def check(self) -> None:
        """Refuse unknown names, numbers out of range, and results that are somebody else's."""
        counts = {"steps": self.steps, "looked-at": self.looked_at}
        check_study(self, "study", ALIGNMENT_STUDIES, alignment_study, "dina-lrm align study", counts)
