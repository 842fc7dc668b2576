"""`dina-lrm evaluate-generator`: a tuned generator against its base, on the same prompts and seeds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from dina_lrm.cli.common import (
    CommandFailed,
    CommonArguments,
    UserError,
    chosen_device,
    console,
    progress,
)
from dina_lrm.cli.judges import check_rewards
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.places import check_folder

if TYPE_CHECKING:
    from dina_lrm.cli.generator_sides import Named, Sides
    from dina_lrm.cli.generator_values import Measured
    from dina_lrm.data.prompt_sets import PromptSet
    from dina_lrm.evaluation.generators import GeneratorComparison
    from dina_lrm.generators.generator import Generator
    from dina_lrm.generators.samples import PicturePlan, StoredSamples
    from dina_lrm.rewards.base import Reward

SYNTHETIC_PROMPTS = 64
"""How many captions `--prompts synthetic` draws when nothing else is asked for."""


@dataclass
class Arguments(CommonArguments):
    """Judge a tuned generator: rewards, truth, composition, diversity, beside its base on the same prompts and seeds.

    Every number has a 95 % interval, by a bootstrap that draws prompts; ties count half. Rewards that the tuning was
    optimised for are marked: the config.json of the run that made the LoRA names them. Pictures are kept in
    OUT/samples: the same command goes on where it was stopped, and other --rewards are judged on the same pictures.

    Example:
        dina-lrm evaluate-generator synthetic-uncurated runs/refl --prompts synthetic --rewards cnn,clip --out gain
    """

    base: Positional[str]
    """The generator: "synthetic", "synthetic-uncurated", "synthetic-unet", a pipeline's folder, or a hub id."""
    tuned: Positional[str]
    """A LoRA of it: the folder of an `align` run, or a file or folder as diffusers, PEFT, kohya or ComfyUI write it; or
    another generator."""
    prompts: str
    """A text file with a prompt a line, PartiPrompts or DrawBench as published, a folder of T2I-CompBench, or
    "synthetic"."""
    out: Path
    """Folder for evaluation.json, report.html, gallery.png and the samples."""
    rewards: str = ""
    """Rewards with commas between them: clip, hpsv3, image:MODEL, ... on pictures, latent:MODEL on latents."""
    count: int | None = None
    """How many prompts: drawn from a file by --seed (by default all), or of the synthetic world (by default 64)."""
    images_per_prompt: int = 4
    """Pictures of each prompt and side."""
    seed: int = 0
    """Of the pictures, the choice of prompts and the bootstrap."""
    steps: int | None = None
    """Steps of the sampler; by default those of the run that made the LoRA, else 20 (bundled) or 40."""
    guidance: float | None = None
    """Scale of classifier-free guidance; by default as --steps, else 3 (bundled) or 4.5."""
    resolution: int | None = None
    """Side of the pictures; by default as --steps, else 32 (bundled) or 1024."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default as --steps, else 0 (bundled) or 128."""
    lora_scale: float = 1.0
    """How much of the LoRA is added."""
    batch_size: int = 16
    """Pictures drawn and judged at once; changes no result."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Draw, measure, compare, report."""
    began = time.perf_counter()
    _check(arguments)
    prompts = _prompts(arguments)

    from dina_lrm.cli.generator_sides import Named, Sides
    from dina_lrm.cli.generator_values import rehearse
    from dina_lrm.generators.samples import PicturePlan

    asked = (arguments.steps, arguments.guidance, arguments.resolution, arguments.prompt_length)
    named = Named(arguments.base, arguments.tuned, arguments.lora_scale, *asked)
    settings = named.settings()
    images, steps = arguments.images_per_prompt, settings.sampling_steps
    plan = PicturePlan(prompts.prompts, images, steps, arguments.seed, arguments.batch_size)
    sides = Sides(named, settings, plan, arguments.out / "samples", chosen_device(arguments.device))
    rewards = _rewards(arguments, sides.base, named)
    rehearse(sides.base, plan, rewards)
    kept = sides.draw(lambda title: progress(title, arguments.quiet))
    measured = _measured(arguments, sides, plan, rewards)
    result = _compared(arguments, prompts, named, sides, plan, rewards, measured)
    result = replace(result, seconds=time.perf_counter() - began)
    _write(arguments, result, sides.stored, plan)
    _show(arguments, result)
    for name, side in measured.items():
        if side.not_finite == len(plan.prompts) * plan.images:
            told = f"none of the {side.not_finite} pictures of the {name} generator is finite: nothing can be judged"
            raise CommandFailed(told, result.to_dict())
    return {**result.to_dict(), "blocks_kept": kept}


def _measured(arguments: Arguments, sides: Sides, plan: PicturePlan, rewards: list[Reward]) -> dict[str, Measured]:
    from dina_lrm.cli.generator_values import measure_side

    measured = {}
    for name, stored in sides.stored.items():
        with progress(f"judging, {name}", arguments.quiet) as report:
            measured[name] = measure_side(stored, plan, rewards, report)
    return measured


def _compared(
    arguments: Arguments,
    prompts: PromptSet,
    named: Named,
    sides: Sides,
    plan: PicturePlan,
    rewards: list[Reward],
    measured: dict[str, Measured],
) -> GeneratorComparison:
    from dina_lrm.cli.generator_values import paired, role_of, same_pictures
    from dina_lrm.evaluation.environment import command_line, environment
    from dina_lrm.evaluation.generators import GeneratorComparison, compare, compare_groups

    roles = {reward.name: role_of(reward, named.run) for reward in rewards}
    values = paired(measured["base"], measured["tuned"], plan, roles)
    notes = _notes(named, plan, measured, same_pictures(**sides.stored, plan=plan))
    if sides.left_out:
        notes.append(
            f"{sides.left_out} modules of text encoders in the LoRA are left out: prompts are read as the base's."
        )
    return GeneratorComparison(
        base=arguments.base,
        tuned=arguments.tuned,
        prompt_set=prompts.name,
        prompts=len(plan.prompts),
        images_per_prompt=plan.images,
        seed=arguments.seed,
        settings=named.described(),
        optimised=None if named.run is None else named.run.names,
        comparisons=tuple(compare(each, arguments.seed) for each in values),
        groups=compare_groups(values, prompts.groups, arguments.seed),
        notes=tuple(notes),
        environment=environment(),
        command=command_line(),
    )


def _notes(named: Named, plan: PicturePlan, measured: dict[str, Measured], same: int) -> list[str]:
    notes, pictures, cut = [], len(plan.prompts) * plan.images, measured["base"].cut
    for name, side in measured.items():
        if side.not_finite:
            told = f"{side.not_finite} of {pictures} pictures of the {name} generator are not finite"
            notes.append(f"{told}: they are no pictures, have no scores, and count as missing.")
    if same:
        notes.append(f"{same} of {pictures} pictures are the same on both sides: there the tuning changes nothing.")
    if named.run is not None and named.run.generator.pretrained != named.base:
        notes.append(f"The LoRA was made for {named.run.generator.pretrained}, and is judged on {named.base}.")
    if named.run is None:
        notes.append("No config.json of an alignment run lies beside a LoRA: what was optimised is not known.")
    if cut:
        notes.append(f"{cut // plan.images} of {len(plan.prompts)} prompts are longer than the text encoders read.")
    again = len(plan.prompts) - len(set(plan.prompts))
    if again:
        notes.append(f"{again} prompts stand in the set again; the bootstrap draws the pictures of a text together.")
    return notes


def _check(arguments: Arguments) -> None:
    """Refuse what can be refused before a model is loaded."""
    for name in ("images_per_prompt", "batch_size", "count", "steps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value}: accepted are whole numbers of at least 1")
    check_folder("--out", arguments.out)
    check_results(arguments.out, "evaluation.json", _is_evaluation, ("gallery.png", "report.html"))
    names = _names(arguments)
    if len(set(names)) < len(names):
        raise UserError(f"--rewards {arguments.rewards}: names one twice; accepted is each once")
    check_rewards(names)


def _is_evaluation(found: Mapping[str, object]) -> bool:
    return {"base", "tuned"} <= found.keys()


def _names(arguments: Arguments) -> list[str]:
    return [name.strip() for name in arguments.rewards.split(",") if name.strip()]


def _prompts(arguments: Arguments) -> PromptSet:
    import numpy as np

    from dina_lrm.synthetic.prompts import prompts_of

    # Another stream than training prompts and looks are drawn from
    found = prompts_of(arguments.prompts, [arguments.seed, 11, 0], arguments.count or SYNTHETIC_PROMPTS)
    if arguments.count is None or arguments.count == len(found.prompts):
        return found
    if arguments.count > len(found.prompts):
        raise UserError(f"--count {arguments.count}: {arguments.prompts} holds {len(found.prompts)} prompts")
    rng = np.random.default_rng([arguments.seed, 11])
    return found.take(sorted(rng.choice(len(found.prompts), arguments.count, replace=False).tolist()))


def _rewards(arguments: Arguments, base: Generator, named: Named) -> list[Reward]:
    """The judges; latent ones share the generator's weights, and read an optimised reward as the run did."""
    from dina_lrm.reward_model.model import LatentRewardModel
    from dina_lrm.rewards.latent import LatentReward
    from dina_lrm.rewards.names import load_reward, reward_family

    levels = {} if named.run is None else {term.name: term.noise_level for term in named.run.rewards}
    found: list[Reward] = []
    for name in _names(arguments):
        family, model = reward_family(name)
        if family != "latent":
            found.append(load_reward(name))
            continue
        if named.lora is None:
            told = "reads latents, and two generators have latents of their own"
            raise UserError(f"--rewards {name}: {told}; accepted: image:{model}")
        latent = LatentRewardModel.from_pretrained(model, pipeline=base.pipeline)
        found.append(LatentReward(latent, levels.get(name), name=name))
    return found


def _show(arguments: Arguments, result: GeneratorComparison) -> None:
    from dina_lrm.reports.generators import result_tables, verdicts
    from dina_lrm.reports.terminal import as_rich

    shown = console(arguments.quiet)
    for table in result_tables(result):
        shown.print(as_rich(table))
    for line in (*verdicts(result), *result.notes):
        shown.print(line)


def _write(
    arguments: Arguments, result: GeneratorComparison, stored: dict[str, StoredSamples], plan: PicturePlan
) -> None:
    import numpy as np

    from dina_lrm.cli.result import write_json
    from dina_lrm.reports.gallery import gallery, save_gallery
    from dina_lrm.reports.generators import PICTURES, write_generator_report

    numbers = np.linspace(0, len(plan.prompts) - 1, min(PICTURES, len(plan.prompts))).round().astype(int).tolist()
    captions = [plan.prompts[number] for number in numbers]
    shown = {name: np.stack([samples.picture(number) for number in numbers]) for name, samples in stored.items()}
    write_json(arguments.out / "evaluation.json", result.to_dict())
    save_gallery(gallery(shown, captions, across=3), arguments.out / "gallery.png")
    page = write_generator_report(arguments.out / "report.html", result, captions, shown["base"], shown["tuned"])
    console(arguments.quiet).print(f"report: {page}")
