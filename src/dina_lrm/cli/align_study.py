"""`dina-lrm align study`: how well alignment works on the synthetic world, where the truth is known."""

from __future__ import annotations

from dina_lrm.cli.arguments.align_study import Arguments
from dina_lrm.console.common import console, progress, study_command
from dina_lrm.console.studies import chosen
from dina_lrm.experiments.alignment.page import AlignmentResults
from dina_lrm.experiments.alignment.runs import AlignmentBudget, align_cells
from dina_lrm.experiments.alignment.studies import ALIGNMENT_STUDIES, variants_of
from dina_lrm.experiments.page import write_results
from dina_lrm.experiments.pool import default_workers
from dina_lrm.runs.json_files import read_json_object


def run(arguments: Arguments) -> dict[str, object]:
    """Run what is missing, then write the page."""
    shown, names = console(arguments.quiet, live=True), chosen(arguments, ALIGNMENT_STUDIES)
    with progress("aligning", arguments.quiet, "run") as report:
        made = align_cells(
            variants_of(names),
            arguments.seeds,
            AlignmentBudget(arguments.steps, arguments.looked_at),
            arguments.out,
            arguments.workers or default_workers(),
            lambda line: shown.print(line),
            report,
        )
    command = study_command("align study", arguments.names, arguments.seeds, arguments.out)
    page = write_results(AlignmentResults.of(arguments.out, arguments.seeds), arguments.out, names, command)
    shown.print(f"page: {page}")
    return {"runs": made, "page": str(page), "results": read_json_object(arguments.out / "results.json")}
