"""`dina-lrm align study`: how well alignment works on the synthetic world, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import FIRST_SEEDS, CommonArguments, UserError, check_seeds, console, progress, study_command
from dina_lrm.recipes.alignment_study import ALIGNMENT_STUDIES, alignment_study, variants_of
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.ownership import check_page, check_results, page_beside
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(CommonArguments):
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

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Run what is missing, then write the page."""
    names = tuple(ALIGNMENT_STUDIES) if arguments.names == ("all",) else arguments.names
    if not names:
        raise UserError(f"no study was named; accepted: {', '.join(ALIGNMENT_STUDIES)}, all")
    for name in names:
        alignment_study(name)
    given = {"steps": arguments.steps, "looked-at": arguments.looked_at, "workers": arguments.workers}
    for option, value in given.items():
        if value is not None and value < 1:
            raise UserError(f"--{option} {value}: accepted are whole numbers of at least 1")
    check_seeds(arguments.seeds)
    check_folder("--out", arguments.out)
    check_results(arguments.out, "results.json", lambda found: found.keys() <= ALIGNMENT_STUDIES.keys(), ("plots",))
    check_page(page_beside(arguments.out), "dina-lrm align study")
    from dina_lrm.experiments.alignment_page import write_alignment_results
    from dina_lrm.experiments.alignment_runs import StudyBudget, run_alignment_cells
    from dina_lrm.experiments.run import default_workers

    shown, budget = console(arguments.quiet, live=True), StudyBudget(arguments.steps, arguments.looked_at)
    with progress("runs", arguments.quiet) as report:
        made = run_alignment_cells(
            variants_of(names),
            arguments.seeds,
            budget,
            arguments.out,
            arguments.workers or default_workers(),
            lambda line: shown.print(line),
            report,
        )
    command = study_command("align study", arguments.names, arguments.seeds, arguments.out)
    page = write_alignment_results(arguments.out, names, arguments.seeds, command)
    shown.print(f"page: {page}")
    return {"runs": made, "page": str(page), "results": read_json_object(arguments.out / "results.json")}
