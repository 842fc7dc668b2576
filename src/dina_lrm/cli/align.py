"""The commands `dina-lrm align ...`: a generator's LoRA learns from rewards, or what that would take is said."""

from __future__ import annotations

from dataclasses import asdict

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.job import Aligned, AlignmentJob
from dina_lrm.alignment.monitor.looks import Look
from dina_lrm.alignment.pairs.judged import ROLES
from dina_lrm.alignment.pairs.source import PairSource
from dina_lrm.alignment.prompts import held_beside_pairs, held_prompts
from dina_lrm.alignment.rehearsal import expected_cost, rehearsal
from dina_lrm.cli.arguments.align import AlignArguments
from dina_lrm.cli.arguments.align_by import PAIRS, Dpo
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import CommandFailed, console, progress
from dina_lrm.data.held_out import HeldOut
from dina_lrm.data.sources.columns import NAMES, parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.profiling.estimates.learning import Aligning
from dina_lrm.reports.alignment import write_alignment_report, write_sample_sheet
from dina_lrm.rewards.names import check_rewards
from dina_lrm.runs.processes import Processes


def run(arguments: AlignArguments) -> dict[str, object]:
    """Align, or check that it can be done."""
    config = arguments.config()
    check_rewards(term.name for term in config.rewards)
    pairs, held = _given(arguments, config)
    device = arguments.place()
    processes = Processes(cpu=device == "cpu")
    job = AlignmentJob(config, held, arguments.out, device, arguments.resume, arguments.export, pairs=pairs)
    quiet = arguments.quiet or not processes.main
    before = _before(arguments, config, quiet) if processes.count == 1 else {}
    if not arguments.dry_run:
        return _aligned(job, processes, quiet)
    with rehearsal(job, processes.count) as few:
        ended, found = _run(few, processes, quiet)
    interrupted = ended.outcome.interrupted
    if interrupted:
        raise CommandFailed(f"the rehearsal was stopped by {interrupted}; nothing was measured, nothing kept")
    cost = expected_cost(job, few, ended)
    console(quiet).print(cost.sentence(config, pairs is not None))
    return {**before, **found, **asdict(cost)}


def _given(arguments: AlignArguments, config: AlignConfig) -> tuple[PairSource | None, HeldOut]:
    """The pairs that are given, where any are, and the prompts."""
    looks, wanted = arguments.look_prompts, config.looks.prompts
    if not isinstance(arguments, Dpo) or arguments.pairs is None:
        columns = parse_columns(arguments.columns, ("prompt",))
        return None, held_prompts(arguments.prompts, looks, wanted, config.seed, columns)
    columns = parse_columns(arguments.columns, (*NAMES, *ROLES))
    chosen = arguments.recipe.dpo
    pairs = PairSource(arguments.pairs, columns, chosen.liked_from, alone=chosen.kind == "kto")
    prompts = None if arguments.prompts == PAIRS else arguments.prompts
    return pairs, held_beside_pairs(pairs.prompts(), prompts, looks, wanted, config.seed)


def _before(arguments: AlignArguments, config: AlignConfig, quiet: bool) -> dict[str, object]:
    """Say what it takes where that was asked for, and refuse what will not fit."""
    estimate, out = Aligning(config, arguments.place()).estimate(), arguments.out
    found = say_estimate(estimate, out, quiet) if arguments.dry_run else {}
    check_room(estimate, None if arguments.dry_run else out, arguments.force)
    return found


def _run(job: AlignmentJob, processes: Processes, quiet: bool) -> tuple[Aligned, dict[str, object]]:
    """Run the job, say its looks and draw its report; how it ended, and what `--json` writes of it."""
    say, looks = console(quiet, live=True), []

    def on_look(look: Look) -> None:
        looks.append({"step": look.step, "images": len(look.images), **look.means()})
        say.print(f"step {look.step}: {', '.join(f'{name} {value:.3f}' for name, value in look.means().items())}")
        for alarm in look.alarms:
            say.print(f"  alarm: {alarm.sentence}")
        write_sample_sheet(job.folder, look)

    with progress("encoding", quiet, "picture") as encoded, progress("aligning", quiet, "update") as report:
        told = lambda step, steps, reward: report(step, steps, f"reward {reward:.3f}")  # noqa: E731 - as OnStep has it
        ended = job.run(processes, on_look, told, lambda text: say.print(text), encoded)
    if processes.main:
        write_alignment_report(job.folder, command_line())
    outcome = ended.outcome
    return ended, {
        "recipe": job.config.name, "algorithm": job.config.algorithm, "steps": outcome.steps,
        "stopped": outcome.stopped, "lora_step": outcome.lora_step, "looks": looks, "interrupted": outcome.interrupted,
    }  # fmt: skip


def _aligned(job: AlignmentJob, processes: Processes, quiet: bool) -> dict[str, object]:
    """Run the job, and say what is there at the end."""
    ended, found = _run(job, processes, quiet)
    say, out, outcome = console(quiet, live=True), job.folder, ended.outcome
    if outcome.interrupted:  # which has been said
        return found
    page = out / "report.html" if processes.main else out
    say.print(f"LoRA: {out / 'lora'}")
    say.print(f"Report: {page}")
    found |= {"lora": str(out / "lora"), "report": str(page)}
    if ended.export is not None:
        found["export"] = str(ended.export)
        say.print(f"LoRA for {job.export}: {ended.export}")
    if outcome.stopped:
        kept = f"; {out / 'lora'} is that of step {outcome.lora_step}"
        told = outcome.stopped.removesuffix(".")
        raise CommandFailed(f"stopped at step {outcome.steps} by an alarm: {told}{kept}", found)
    return found
