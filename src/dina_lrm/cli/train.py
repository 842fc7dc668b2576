"""`dina-lrm train`: comparisons in, a trained latent reward model out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dina_lrm.cli.arguments.train import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import console, progress
from dina_lrm.data.run_cache import is_cache
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.profiling.estimates.learning import Training
from dina_lrm.recipes.data import LoadedData, RunData
from dina_lrm.recipes.personal import ALL, personal_votes
from dina_lrm.reports.run import write_run_report
from dina_lrm.reward_model.personal import PersonalModel, add_personal_model
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.processes import computing_on, join_processes
from dina_lrm.screen import bytes_text
from dina_lrm.training.closing import closing_sentence, next_commands
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.dry_run import dry_run
from dina_lrm.training.plan import TrainingPlan
from dina_lrm.training.trainer import train_in


def run(arguments: Arguments) -> dict[str, object]:
    """Train, or measure what training would take."""
    config, out = arguments.config(), None if arguments.dry_run else arguments.out
    columns = parse_columns(arguments.columns)
    named = RunData(arguments.data, arguments.validation, arguments.synthetic_prompts, columns, arguments.encoders())
    device = None if arguments.device is None else arguments.place()
    with computing_on(device), held_folder(arguments.out, join_processes().is_main_process and out is not None):
        found = _before(arguments, config)
        with progress("encoding", arguments.quiet, "picture") as report:
            loaded = named.load(config, out, arguments.resume, report)
        if arguments.annotator is not None:
            return _of_annotators(arguments, loaded, config)
        if out is None:
            return found | _dry_run(loaded, arguments.quiet)
        result = _train(arguments, loaded, out)
        join_processes().destroy_process_group()
        return result


def _of_annotators(arguments: Arguments, loaded: LoadedData, asked: TrainConfig) -> dict[str, object]:
    """A run for each annotator who was asked for, side by side in one folder."""
    state, found = join_processes(), []
    personal = personal_votes(loaded.pairs, Path(arguments.data), arguments.annotator or ALL)
    shown = console(arguments.quiet or not state.is_main_process)
    for own in personal.votes:
        shown.print(f"annotator {own.number}: {own.told}")
        config = own.held_out(loaded, asked, arguments.validation)
        judged = replace(loaded, config=config, pairs=own.pairs)
        if arguments.dry_run:
            return _dry_run(judged, arguments.quiet)
        whose = PersonalModel(own.number)
        if state.is_main_process:
            whose = add_personal_model(arguments.out, own.number, own.name)
        folder = arguments.out / whose.folder
        with held_folder(folder, state.is_main_process):
            found.append({"annotator": own.number, **_train(arguments, judged, folder)})
        if found[-1]["stopped"] is not None:
            break
    for line in personal.left_out:
        shown.print(line)
    state.destroy_process_group()
    return {"annotators": found, "left_out": list(personal.left_out)}


def _before(arguments: Arguments, config: TrainConfig) -> dict[str, object]:
    """Say what it takes where that was asked for, and refuse what will not fit."""
    state, out = join_processes(), arguments.out
    if state.num_processes > 1:  # what is spread over them is not counted here
        return {}
    encodes = not (is_cache(arguments.data) or (out / "cache").is_dir())
    try:
        estimate = Training(config, encodes, str(state.device), encoders=arguments.encoders()).estimate()
    except (ValueError, OSError):
        return {}  # a generator that cannot be loaded: told where it is, or beside the cache that is of another one
    found = say_estimate(estimate, out, arguments.quiet) if arguments.dry_run else {}
    check_room(estimate, None if arguments.dry_run else out, arguments.force)
    return found


def _train(arguments: Arguments, loaded: LoadedData, out: Path) -> dict[str, object]:
    config, data, quiet = loaded.config, loaded.pairs, arguments.quiet
    plan = TrainingPlan(
        config,
        data,
        out,
        loaded.held_out,
        resume=arguments.resume,
        resume_batch=arguments.resume_batch,
        quiet=quiet,
    )
    result = train_in(plan)
    state, following = join_processes(), []
    shown = console(quiet or not state.is_main_process)
    if result.model_folder is not None:  # an early stop has said so, and why
        shown.print(closing_sentence(result, loaded.held_from))
        following = next_commands(result.model_folder, arguments.data, arguments.validation)
    if state.is_main_process:
        shown.print(f"report: {write_run_report(out, command=command_line())}")
    for number, command in enumerate(following):
        shown.print(f"{'      ' if number else 'next: '}{command}")
    found = {"recipe": config.name, "pairs": len(data), "missing": len(data.missing), "next": following}
    return {**found, **result.to_dict()}


def _dry_run(loaded: LoadedData, quiet: bool) -> dict[str, object]:
    config = loaded.config
    found: dict[str, Any] = dry_run(config, loaded.pairs).to_dict()
    console(quiet).print(
        f"{found['seconds_per_step']:.3f} s a step of {_step(config)}, {found['total_steps']} steps: about "
        f"{found['estimated_seconds'] / 60:.1f} min; peak memory {bytes_text(found['peak_memory_bytes'])}; "
        f"a checkpoint {bytes_text(found['checkpoint_bytes'])}, {config.log.keep_last + 1} of them at most; "
        f"{found['trained_parameters'] / 1e6:.2f} M of {found['parameters'] / 1e6:.2f} M parameters learn"
    )
    return {"recipe": config.name, "pairs": len(loaded.pairs), **found}


def _step(config: TrainConfig) -> str:
    return f"{config.batch_size} pairs" if config.batch_tokens is None else f"{config.batch_tokens} tokens"
