"""What the commands `dina-lrm align ...` share: their options, prompts, the pipeline, and the run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import tyro

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.flow_grpo_settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.applies import check_asked
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.cli.align_dry_run import Clock, expected_cost
from dina_lrm.cli.common import (
    CommandFailed,
    CommonArguments,
    UserError,
    chosen_device,
    console,
    progress,
)
from dina_lrm.cli.judges import check_rewards
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES
from dina_lrm.rewards.bounded_http import without_password
from dina_lrm.runs.lock import check_free
from dina_lrm.runs.places import check_folder
from dina_lrm.sampling.reward_term import RewardTerm

if TYPE_CHECKING:
    from dina_lrm.alignment.monitor.looks import Look
    from dina_lrm.backbones.lora_export import Layout
    from dina_lrm.data.held_out import HeldOut
    from dina_lrm.generators.generator import Generator
    from dina_lrm.runs.processes import Processes

SYNTHETIC_PROMPTS = 2_000
"""How many prompts of the synthetic world a run draws from."""


@dataclass(kw_only=True)
class AlignArguments(CommonArguments):
    """Options of every `align` command."""

    prompts: str
    """A text file with a prompt a line, a published table or folder of prompts, or "synthetic"."""
    out: Path
    """The run's folder."""
    look_prompts: str | None = None
    """A text file with the prompts of the looks; by default they are the last lines of --prompts, which are then not
    trained on."""
    reward: tuple[str, ...] = ()
    """Rewards in place of the recipe's, each NAME or NAME=WEIGHT; latent ones are read at the noise level stored with
    them. Several are summed as z-scores."""
    more_rewards: tuple[str, ...] = ()
    """Rewards beside those, each NAME or NAME=WEIGHT."""
    device: str | None = None
    """Where to compute; by default a GPU where there is one."""
    export: Literal["kohya", "comfyui"] | None = None
    """Write the LoRA for other tools too, as OUT/lora-kohya.safetensors or OUT/lora-comfyui.safetensors: kohya's
    layout of Stable Diffusion and FLUX, or what ComfyUI reads of all families but SANA."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the newest checkpoint in --out; start when there is none."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Check everything on two updates of the smallest batch, say what the run would take, and keep nothing."""


RECIPES: Final[Mapping[type[AlignConfig], Mapping[str, Callable[[], AlignConfig]]]] = {
    ReflConfig: REFL_RECIPES,
    GrpoConfig: GRPO_RECIPES,
    LpoConfig: LPO_RECIPES,
    DpoConfig: DPO_RECIPES,
}
"""Of each algorithm, by name."""


def recipe_choice(recipes: Mapping[str, Callable[[], AlignConfig]]) -> Any:  # noqa: ANN401 - a type for tyro
    """A subcommand for each recipe, with the first line of its documentation."""
    return tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in recipes.items()},
        {name: (make.__doc__ or "").split("\n")[0] for name, make in recipes.items()},
        prefix_names=False,
    )


def align(config: AlignConfig, arguments: AlignArguments) -> dict[str, object]:
    """Align, or check that it can be done."""
    if (arguments.out / "config.json").is_file() and not arguments.resume:
        raise UserError(f"--out {arguments.out}: holds a run already; add --resume, or give another folder")
    check_folder("--out", arguments.out)
    check_free(arguments.out)
    chosen = tuple(reward_term("--reward", text) for text in arguments.reward) or config.rewards
    beside = [reward_term("--more-rewards", text) for text in arguments.more_rewards]
    config = replace(config, rewards=(*chosen, *beside))
    check_asked(config, {name: make() for name, make in RECIPES[type(config)].items()})
    check_rewards(term.name for term in config.rewards)
    held = _prompts(arguments, config)
    from dina_lrm.runs.processes import Processes

    device = chosen_device(arguments.device)
    processes, clock = Processes(cpu=device == "cpu"), Clock()
    if not arguments.dry_run:
        return _run(config, held, arguments.out, device, processes, arguments, clock)
    with tempfile.TemporaryDirectory() as folder:
        few = config.smallest(processes.count)
        some = list(range(min(max(2, few.micro_batch), len(held.shown.prompts))))
        less = replace(held, shown=held.shown.take(some))
        found = _run(few, less, Path(folder) / "run", device, processes, arguments, clock)
    if found["interrupted"]:
        raise CommandFailed(f"the rehearsal was stopped by {found['interrupted']}; nothing was measured, nothing kept")
    quiet = arguments.quiet or not processes.main
    return {**found, **expected_cost(config, few.batch_size, len(held.shown.prompts), clock, device, quiet)}


def reward_term(option: str, text: str) -> RewardTerm:
    """The reward of "NAME" or "NAME=WEIGHT", as an option gave it."""
    name, equals, weight = text.rpartition("=")
    if not equals:
        return RewardTerm(text)
    try:
        return RewardTerm(name, float(weight))
    except ValueError:
        told = f"{option} {without_password(text)}: the weight is {without_password(text).rpartition('=')[2]!r}"
        raise UserError(f"{told}; accepted: NAME or NAME=NUMBER") from None


def _run(
    config: AlignConfig,
    held: HeldOut,
    out: Path,
    device: str,
    processes: Processes,
    arguments: AlignArguments,
    clock: Clock,
) -> dict[str, object]:
    from dina_lrm.alignment.trainer import AlignmentRun
    from dina_lrm.backbones.lora_export import check_export
    from dina_lrm.generators.load import loaded_generator
    from dina_lrm.reports.alignment import write_alignment_report, write_sample_sheet

    if processes.count > 1:
        device = str(processes.device)
    quiet = arguments.quiet or not processes.main
    say = console(quiet, live=True)
    looks: list[dict[str, object]] = []

    def on_step(step: int, steps: int, reward: float) -> None:
        report(step, steps)
        clock.updates.append(time.perf_counter())

    def on_look(look: Look) -> None:
        clock.a_picture = (time.perf_counter() - (clock.updates or [clock.began])[-1]) / len(look.images)
        found = look_line(look)
        looks.append(found)
        values = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if isinstance(value, float))
        say.print(f"step {look.step}: {values}")
        for alarm in look.alarms:
            say.print(f"  alarm: {alarm.sentence}")
        write_sample_sheet(out, look)

    generator = loaded_generator(config.generator, device, config.seed)
    if arguments.export is not None:
        check_export(arguments.export, generator.backbone.config.family)
    if held.left_out:
        say.print(f"{held.left_out} of --prompts are left out: their text is that of a prompt that is looked at")
    generator.check_prompts([*held.trained.prompts, *held.shown.prompts], [*held.trained.places, *held.shown.places])
    prompts, shown = list(held.trained.prompts), list(held.shown.prompts)
    said: Callable[[str], None] = (lambda text: None) if arguments.dry_run else (lambda text: say.print(text))
    aligned = AlignmentRun(config, generator, prompts, shown, out, arguments.resume, processes, said)
    taken, window = config.number_of_looks(), config.looks.window
    if taken < window and not arguments.dry_run:
        say.print(f"{taken} looks, and an alarm needs {window} (--looks.window): none can sound")
    with progress("updates", quiet) as report:
        clock.began = time.perf_counter()
        outcome = aligned.run(on_look, on_step)
    page = write_alignment_report(out) if processes.main else out
    found: dict[str, object] = {
        "recipe": config.name, "algorithm": config.algorithm, "steps": outcome.steps, "stopped": outcome.stopped,
        "lora_step": outcome.lora_step, "looks": looks, "interrupted": outcome.interrupted,
    }  # fmt: skip
    if arguments.dry_run or outcome.interrupted:
        return found
    say.print(f"LoRA: {out / 'lora'}")
    say.print(f"Report: {page}")
    found |= {"lora": str(out / "lora"), "report": str(page)}
    if arguments.export is not None and processes.main:
        found["export"] = str(_exported(arguments.export, out, generator))
        say.print(f"LoRA for {arguments.export}: {found['export']}")
    if outcome.stopped:
        kept = f"; {out / 'lora'} is that of step {outcome.lora_step}"
        told = outcome.stopped.removesuffix(".")
        raise CommandFailed(f"stopped at step {outcome.steps} by an alarm: {told}{kept}", found)
    return found


def _exported(layout: Layout, out: Path, generator: Generator) -> Path:
    from dina_lrm.backbones.lora_export import write_export
    from dina_lrm.sampling.tuned import WEIGHTS

    file = out / f"lora-{layout}.safetensors"
    write_export(out / "lora" / WEIGHTS, file, layout, generator.backbone, generator.pipeline)
    return file


def look_line(look: Look) -> dict[str, object]:
    """A look in one line: means of judges, the truth where it is known, and what the trainer added."""
    return {"step": look.step, "images": len(look.images), **look.means()}


def _prompts(arguments: AlignArguments, config: AlignConfig) -> HeldOut:
    """Prompts to train on, and others to look at."""
    from dina_lrm.data.held_out import hold_out_last, without
    from dina_lrm.synthetic.prompts import prompts_of

    wanted, seeds = config.looks.prompts, [config.seed, 7]
    drawn = SYNTHETIC_PROMPTS + (wanted if arguments.look_prompts is None else 0)
    prompts = prompts_of(arguments.prompts, seeds, drawn)
    if arguments.look_prompts is None:
        try:
            return hold_out_last(prompts, wanted)
        except ValueError as error:
            raise UserError(
                f"--prompts {arguments.prompts}: {error} different prompts, fewer --looks.prompts, or --look-prompts"
            ) from error
    looks = prompts_of(arguments.look_prompts, [config.seed, 8], wanted)
    found = without(prompts, looks.take(list(range(min(wanted, len(looks.prompts))))))
    if not found.trained.prompts:
        raise UserError(
            f"--look-prompts {arguments.look_prompts}: holds every prompt of --prompts, so that none is left to train "
            "on; accepted: other prompts"
        )
    return found
