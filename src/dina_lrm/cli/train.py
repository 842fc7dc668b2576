"""`dina-lrm train`: comparisons in, a trained latent reward model out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from dina_lrm.cli.common import CommonArguments, UserError, console, progress
from dina_lrm.recipes import RECIPES
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.ranges import COUNT, check_ranges, ranged
from dina_lrm.runs.trackers import check_trackers
from dina_lrm.training.applies import as_asked
from dina_lrm.training.config import TrainConfig

if TYPE_CHECKING:
    from dina_lrm.data.cache import EncodedComparisons
    from dina_lrm.training.trainer import TrainResult

    RecipeChoice = TrainConfig
else:
    RecipeChoice = tyro.extras.subcommand_type_from_defaults(
        {name: recipe.make() for name, recipe in RECIPES.items()},
        {name: recipe.help for name, recipe in RECIPES.items()},
        prefix_names=False,
    )


SYNTHETIC_PROMPTS = 2_000
"""Of `--data synthetic`, where nothing else is said."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(CommonArguments):
    """Train a reward model: a recipe is a complete run, and every setting of it is an option.

    `dina-lrm train RECIPE --help` lists the settings with the recipe's values. Ctrl-C or SIGTERM finishes the step,
    saves the state and stops; the same command with --resume goes on. Under `accelerate launch -m dina_lrm train ...`
    the pairs of a batch are spread over the processes.

    Example:
        dina-lrm train synthetic --data synthetic --out runs/first --steps 100 --optimizer.lr 1e-3
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
    data: str
    """A cache folder made by `prepare`, a JSONL or Parquet file of comparisons, or "synthetic"."""
    out: Path
    """The run's folder."""
    validation: str | None = None
    """Held-out comparisons, as --data; measured every --log.evaluate-every steps and at the end."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the newest complete checkpoint in --out; start when there is none."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Take two steps, report memory and an estimate of the time, and write nothing."""
    synthetic_prompts: int | None = ranged(None, COUNT)
    """Prompts of `--data synthetic`, eight pictures and all 28 comparisons of them each; 2,000 where none is given."""

    def __post_init__(self) -> None:
        check_ranges(self)


def run(arguments: Arguments) -> dict[str, object]:
    """Train, or measure what training would take."""
    config = as_asked(arguments.recipe, {name: recipe.make() for name, recipe in RECIPES.items()})
    if arguments.synthetic_prompts is not None and "synthetic" not in (arguments.data, arguments.validation):
        raise UserError(
            f"--synthetic-prompts: has no effect on --data {arguments.data}; accepted with --data synthetic"
        )
    if (arguments.out / "config.json").is_file() and not (arguments.resume or arguments.dry_run):
        raise UserError(f"--out {arguments.out}: holds a run already; add --resume, or give another folder")
    check_trackers("log.trackers", config.log.trackers)
    from dina_lrm.runs.lock import held_folder
    from dina_lrm.runs.processes import join_processes

    check_folder("--out", arguments.out)
    with held_folder(arguments.out, join_processes().is_main_process and not arguments.dry_run):
        data, held_out = _data(arguments, config)
        if arguments.dry_run:
            return _dry_run(config, data, arguments.quiet)
        return _train(arguments, config, data, held_out)


def _data(arguments: Arguments, config: TrainConfig) -> tuple[EncodedComparisons, EncodedComparisons | None]:
    """What is trained on, and what is held out."""
    from dina_lrm.recipes.data import data_for

    prompts = arguments.synthetic_prompts or SYNTHETIC_PROMPTS
    with progress("encoding", arguments.quiet) as report:
        cache = None if arguments.dry_run else arguments.out / "cache"
        data = data_for(config, arguments.data, cache, prompts, report)
        if arguments.validation is None:
            return data, None
        cache = None if cache is None else arguments.out / "validation-cache"
        return data, data_for(config, arguments.validation, cache, max(prompts // 10, 1), report, seed=1)


def _train(
    arguments: Arguments, config: TrainConfig, data: EncodedComparisons, held_out: EncodedComparisons | None
) -> dict[str, object]:
    from dina_lrm.runs.processes import join_processes
    from dina_lrm.training.plan import TrainingPlan
    from dina_lrm.training.trainer import train_in

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
        from dina_lrm.evaluation.environment import command_line
        from dina_lrm.reports.run import write_run_report

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
    from dina_lrm.training.dry_run import dry_run

    found: dict[str, Any] = dry_run(config, data).to_dict()
    console(quiet).print(
        f"{found['seconds_per_step']:.3f} s a step of {config.batch_size} pairs, {found['total_steps']} steps: about "
        f"{found['estimated_seconds'] / 60:.1f} min; peak memory {found['peak_memory_bytes'] / 2**30:.2f} GiB; "
        f"{found['trained_parameters'] / 1e6:.2f} M of {found['parameters'] / 1e6:.2f} M parameters learn"
    )
    return {"recipe": config.name, "pairs": len(data), **found}
