"""The options of `dina-lrm align study`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import FIRST_SEEDS, CommonArguments, UserError, WritesToOut, check_seeds
from dina_lrm.experiments.alignment.studies import ALIGNMENT_STUDIES, alignment_study
from dina_lrm.runs.ownership import check_page, check_results, page_beside
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(WritesToOut, CommonArguments):
    """Align a generator of the synthetic world in many ways, three seeds each, and say what it was truly worth.

    A run takes two to five minutes of one core; what OUT/cells holds is not run again. Names: rewards, algorithms,
    preferences, hacking, or all.

    Example:
        dina-lrm align study hacking --seeds 0 1 2 --out alignment
    """

    names: Positional[tuple[str, ...]]
    """Studies, or "all"."""
    out: Path = Path("alignment")
    """Folder for cells/, results.json, plots/ and pictures/; the page beside it has its name, OUT.md."""
    seeds: tuple[int, ...] = FIRST_SEEDS
    """Each decides the LoRA's start, prompts and noise; what is looked at is the same for all."""
    steps: int | None = None
    """Updates of each run; by default as many as its recipe has."""
    looked_at: int = 96
    """Prompts of a look, one picture each."""
    workers: int | None = None
    """Runs at a time, one thread each; by default one a core."""

    def chosen(self) -> tuple[str, ...]:
        """The studies by name."""
        return tuple(ALIGNMENT_STUDIES) if self.names == ("all",) else self.names

    def check(self) -> None:
        """Refuse unknown names, numbers out of range, and results that are somebody else's."""
        if not self.names:
            raise UserError(f"no study was named; accepted: {', '.join(ALIGNMENT_STUDIES)}, all")
        for name in self.chosen():
            alignment_study(name)
        given = {"steps": self.steps, "looked-at": self.looked_at, "workers": self.workers}
        for option, value in given.items():
            if value is not None and value < 1:
                raise UserError(f"--{option} {value}; accepted: whole numbers of at least 1")
        check_seeds(self.seeds)
        check_folder("--out", self.out)
        check_results(self.out, "results.json", lambda found: found.keys() <= ALIGNMENT_STUDIES.keys(), ("plots",))
        check_page(page_beside(self.out), "dina-lrm align study")
