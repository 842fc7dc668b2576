"""The options of `dina-lrm ablate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import FIRST_SEEDS, CommonArguments, UserError, WritesToOut, check_seeds
from dina_lrm.experiments.ablations.tables import ABLATIONS, ablation
from dina_lrm.experiments.ablations.variants import PAIRS, PROMPTS, STEPS
from dina_lrm.runs.ownership import check_page, check_results, page_beside
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(WritesToOut, CommonArguments):
    """Train and measure the models of an ablation, three seeds each; go on where an earlier run stopped.

    A model takes three to four minutes on one core, so that the whole set is about four hours of one core; what
    OUT/cells holds is not trained again, and two ablations share the models they have in common. Names: judges,
    adaptation, families, noise, noise-level, uncertainty, depth, taps, beyond, or all.

    Example:
        dina-lrm ablate depth --seeds 0 1 2 --out ablations
    """

    names: Positional[tuple[str, ...]]
    """Ablations, or "all"."""
    out: Path = Path("ablations")
    """Folder for cells/, results.json and plots/; the page beside it has its name, OUT.md."""
    seeds: tuple[int, ...] = FIRST_SEEDS
    """Each decides training pairs, start and noise; the test pairs are the same for all."""
    steps: int = STEPS
    """Training steps of each model."""
    prompts: int = PROMPTS
    """Training prompts, eight pictures each."""
    pairs: int = PAIRS
    """Pairs of each test set."""
    workers: int | None = None
    """Models trained at a time, one thread each; by default one a core."""

    def chosen(self) -> tuple[str, ...]:
        """The ablations by name."""
        return tuple(ABLATIONS) if self.names == ("all",) else self.names

    def check(self) -> None:
        """Refuse unknown names, numbers out of range, and results that are somebody else's."""
        if not self.names:
            raise UserError(f"no ablation was named; accepted: {', '.join(ABLATIONS)}, all")
        for name in self.chosen():
            ablation(name)
        for option in ("steps", "prompts", "pairs", "workers"):
            given = getattr(self, option)
            if given is not None and given < 1:
                raise UserError(f"--{option} {given}; accepted: whole numbers of at least 1")
        check_seeds(self.seeds)
        check_folder("--out", self.out)
        check_results(self.out, "results.json", lambda found: found.keys() <= ABLATIONS.keys(), ("plots",))
        check_page(page_beside(self.out), "dina-lrm ablate")
