"""`dina-lrm ablate`: the paper's tables and figures in miniature, on the synthetic world."""

from __future__ import annotations

from dina_lrm.cli.arguments.ablate import Arguments
from dina_lrm.console.common import console, progress, study_command
from dina_lrm.console.studies import chosen
from dina_lrm.experiments.ablations.page import AblationResults
from dina_lrm.experiments.ablations.tables import ABLATIONS, variants_of
from dina_lrm.experiments.ablations.training import TrainingBudget, train_cells
from dina_lrm.experiments.page import write_results
from dina_lrm.experiments.pool import default_workers
from dina_lrm.runs.json_files import read_json_object


def run(arguments: Arguments) -> dict[str, object]:
    """Train what is missing, then write the tables."""
    shown, names = console(arguments.quiet, live=True), chosen(arguments, ABLATIONS)
    with progress("training", arguments.quiet, "model") as report:
        trained = train_cells(
            variants_of(names),
            arguments.seeds,
            TrainingBudget(arguments.steps, arguments.prompts, arguments.pairs),
            arguments.out / "cells",
            arguments.workers or default_workers(),
            lambda line: shown.print(line),
            report,
        )
    command = study_command("ablate", arguments.names, arguments.seeds, arguments.out)
    page = write_results(AblationResults.of(arguments.out, arguments.seeds), arguments.out, names, command)
    shown.print(f"page: {page}")
    return {"trained": trained, "page": page, "results": read_json_object(arguments.out / "results.json")}
