"""`dina-lrm sample curve`: what best-of-N gains and costs on the synthetic world, pruned and not."""

from __future__ import annotations

from dina_lrm.cli.arguments.sample_curve import Arguments
from dina_lrm.console.common import console, progress
from dina_lrm.experiments.sampling_study import TABLE, SamplingStudy


def run(arguments: Arguments) -> dict[str, object]:
    """Draw what is missing, then write what was found."""
    study = SamplingStudy(
        arguments.prompt_count, arguments.candidates, arguments.seeds, arguments.steps, arguments.batch_size
    )
    with progress("drawing candidates", arguments.quiet, "candidate") as report:
        found = study.run(arguments.out, report)
    shown = console(arguments.quiet)
    for line in (arguments.out / TABLE).read_text(encoding="utf-8").splitlines():
        shown.print(line)
    return found
