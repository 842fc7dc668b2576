"""`dina-lrm ablate`: the paper's tables and figures in miniature, on the synthetic world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import FIRST_SEEDS, CommonArguments, UserError, check_seeds, console, progress, study_command
from dina_lrm.recipes.ablations import ABLATIONS, ablation, variants_of
from dina_lrm.recipes.variants import PAIRS, PROMPTS, STEPS
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.ownership import check_page, check_results, page_beside
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(CommonArguments):
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

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Train what is missing, then write the tables."""
    names = tuple(ABLATIONS) if arguments.names == ("all",) else arguments.names
    if not names:
        raise UserError(f"no ablation was named; accepted: {', '.join(ABLATIONS)}, all")
    for name in names:
        ablation(name)
    for option in ("steps", "prompts", "pairs", "workers"):
        given = getattr(arguments, option)
        if given is not None and given < 1:
            raise UserError(f"--{option} {given}: accepted are whole numbers of at least 1")
    check_seeds(arguments.seeds)
    check_folder("--out", arguments.out)
    check_results(arguments.out, "results.json", lambda found: found.keys() <= ABLATIONS.keys(), ("plots",))
    check_page(page_beside(arguments.out), "dina-lrm ablate")
    from dina_lrm.experiments.page import write_results
    from dina_lrm.experiments.run import Budget, default_workers, run_cells

    shown = console(arguments.quiet, live=True)
    budget = Budget(arguments.steps, arguments.prompts, arguments.pairs)
    with progress("models", arguments.quiet) as report:
        trained = run_cells(
            variants_of(names),
            arguments.seeds,
            budget,
            arguments.out / "cells",
            arguments.workers or default_workers(),
            1,
            lambda line: shown.print(line),
            report,
        )
    command = study_command("ablate", arguments.names, arguments.seeds, arguments.out)
    page = write_results(arguments.out, names, arguments.seeds, command)
    shown.print(f"page: {page}")
    return {"trained": trained, "page": page, "results": read_json_object(arguments.out / "results.json")}
