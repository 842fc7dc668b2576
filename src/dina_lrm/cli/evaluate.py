"""`dina-lrm evaluate`: reward models on comparison sets, with intervals, calibration, plots and a report."""

from __future__ import annotations

from dina_lrm.cli.arguments.evaluate import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import CommandFailed, console, titled_progress
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.evaluation.plan import Evaluation, EvaluationPlan
from dina_lrm.profiling.estimates.reading import Evaluating
from dina_lrm.reports.tables import accuracy_means, evaluation_shown
from dina_lrm.reports.terminal import as_rich


def run(arguments: Arguments) -> dict[str, object]:
    """Evaluate every judge on every set, print the table, write the report."""
    plan, out = _plan(arguments), arguments.out
    estimate = Evaluating(
        plan.judges,
        plan.batch_size,
        plan.device or "cpu",
        plan.dtype,
        plan.backbone,
        arguments.encoders(),
        arguments.t5_weights,
    ).estimate()
    if arguments.dry_run:
        return say_estimate(estimate, out, arguments.quiet)
    check_room(estimate, out, arguments.force)
    found = plan.run(None if out is None else out / "parts", titled_progress(arguments.quiet, "pair"), command_line())
    shown = console(arguments.quiet)
    for part in evaluation_shown(found.results) if found.results else ():
        shown.print(part if isinstance(part, str) else as_rich(part))
    if out is not None and found.results:
        from dina_lrm.reports.evaluation import write_evaluation  # which draws: matplotlib takes a second

        page, board = write_evaluation(out, found)
        shown.print(f"report: {page}")
        shown.print(f"leaderboard: {board}")
    for card in found.cards:
        shown.print(f"recorded in {card}")
    return _result(found)


def _plan(arguments: Arguments) -> EvaluationPlan:
    levels, ensembles = arguments.readings()
    return EvaluationPlan(
        judges=arguments.models,
        sets=named_sets(arguments.on, arguments.data, arguments.source, "--on", parse_columns(arguments.columns)),
        levels=levels,
        ensembles=ensembles,
        draws=arguments.draws,
        antithetic=arguments.antithetic,
        convention=arguments.convention,
        pairs=arguments.pairs,
        seed=arguments.seed,
        batch_size=arguments.batch_size,
        backbone=arguments.backbone,
        device=arguments.place(),
        dtype=arguments.torch_dtype(),
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights,
        record=arguments.record,
        by_name=arguments.by_name,
    )


def _result(found: Evaluation) -> dict[str, object]:
    summary = {result.model: result.accuracies() for result in found.results}
    result = {"summary": summary, "mean": accuracy_means(found.results), **found.to_dict()}
    if found.failures:
        told = "; ".join(f"{failed.model} on {failed.set}: {failed.error}" for failed in found.failures)
        raise CommandFailed(f"{len(found.failures)} of the measurements failed: {told}", result)
    return result
