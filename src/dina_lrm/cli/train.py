"""`dina-lrm train`: comparisons in, a trained latent reward model out."""

from __future__ import annotations

from typing import Any

from dina_lrm.cli.arguments.train import Arguments
from dina_lrm.console.common import console, progress
from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.recipes.data import data_for
from dina_lrm.reports.run import write_run_report
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.processes import computing_on, join_processes
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.dry_run import dry_run
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import TrainResult, train_in

SYNTHETIC_PROMPTS = 2_000
"""Prompts of `--data synthetic`, where nothing else is said."""


def run(arguments: Arguments) -> dict[str, object]:
    """Train, or measure what training would take."""
    config = arguments.config()
    device = None if arguments.device is None else arguments.place()
    with (
        computing_on(device),
        held_folder(arguments.out, join_processes().is_main_process and not arguments.dry_run),
    ):
        data, held_out = _data(arguments, config)
        if arguments.dry_run:
            return _dry_run(config, data, arguments.quiet)
        return _train(arguments, config, data, held_out)


def _data(arguments: Arguments, config: TrainConfig) -> tuple[EncodedComparisons, EncodedComparisons | None]:
    """Return what is trained on, and what is held out."""
    prompts = arguments.synthetic_prompts or SYNTHETIC_PROMPTS
    with progress("encoding", arguments.quiet, "picture") as report:
        cache = None if arguments.dry_run else arguments.out / "cache"
        columns = parse_columns(arguments.columns)
        data = data_for(config, arguments.data, cache, prompts, report, columns=columns)
        if arguments.validation is None:
            return data, None
        cache = None if cache is None else arguments.out / "validation-cache"
        return data, data_for(config, arguments.validation, cache, max(prompts // 10, 1), report, 1, columns)


def _train(
    arguments: Arguments, config: TrainConfig, data: EncodedComparisons, held_out: EncodedComparisons | None
) -> dict[str, object]:
    plan = TrainingPlan(config, data, arguments.out, held_out, resume=arguments.resume, quiet=arguments.quiet)
    result = train_in(plan)
    state = join_processes()
    shown = console(arguments.quiet or not state.is_main_process)
    if result.validation is not None:  # an early stop has said so, and why
        shown.print(
            f"{result.steps} steps in {result.seconds:.0f} s ({result.pairs_per_second:.0f} pairs/s), "
            f"{_accuracy(result)}; the reward model is {result.model_folder}",
        )
    if state.is_main_process:
        shown.print(f"report: {write_run_report(arguments.out, command=command_line())}")
    state.destroy_process_group()
    return {"recipe": config.name, "pairs": len(data), "missing": len(data.missing), **result.to_dict()}


def _accuracy(result: TrainResult) -> str:
    """On what it was measured belongs to the number: pairs that were trained on say little of others."""
    found = result.validation
    assert found is not None
    of = f"{found.pairs:,} held-out pairs" if result.measured_on == "validation" else f"{found.pairs:,} training pairs"
    missing = f" ({found.missing:,} could not be measured)" if found.missing else ""
    note = "" if result.measured_on == "validation" else ", none held out"
    return f"accuracy {found.accuracy:.3f} on {of}{note}{missing}"


def _dry_run(config: TrainConfig, data: EncodedComparisons, quiet: bool) -> dict[str, object]:
    found: dict[str, Any] = dry_run(config, data).to_dict()
    console(quiet).print(
        f"{found['seconds_per_step']:.3f} s a step of {config.batch_size} pairs, {found['total_steps']} steps: about "
        f"{found['estimated_seconds'] / 60:.1f} min; peak memory {found['peak_memory_bytes'] / 2**30:.2f} GiB; "
        f"{found['trained_parameters'] / 1e6:.2f} M of {found['parameters'] / 1e6:.2f} M parameters learn"
    )
    return {"recipe": config.name, "pairs": len(data), **found}
