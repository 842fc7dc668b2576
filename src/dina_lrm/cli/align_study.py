"""`dina-lrm align study`: how well alignment works on the synthetic world, where the truth is known."""

from __future__ import annotations

from dina_lrm.cli.arguments.align_study import Arguments
from dina_lrm.cli.common import console, progress, study_command
from dina_lrm.experiments.alignment_page import write_alignment_results
from dina_lrm.experiments.alignment_runs import StudyBudget, run_alignment_cells
from dina_lrm.experiments.run import default_workers
from dina_lrm.recipes.alignment_study import variants_of
from dina_lrm.runs.json_files import read_json_object


def run(arguments: Arguments) -> dict[str, object]:
    """Run what is missing, then write the page."""
    shown, names = console(arguments.quiet, live=True), arguments.chosen()
    with progress("runs", arguments.quiet) as report:
        made = run_alignment_cells(
            variants_of(names),
            arguments.seeds,
            StudyBudget(arguments.steps, arguments.looked_at),
            arguments.out,
            arguments.workers or default_workers(),
            lambda line: shown.print(line),
            report,
        )
    command = study_command("align study", arguments.names, arguments.seeds, arguments.out)
    page = write_alignment_results(arguments.out, names, arguments.seeds, command)
    shown.print(f"page: {page}")
    return {"runs": made, "page": str(page), "results": read_json_object(arguments.out / "results.json")}
