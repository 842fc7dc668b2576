"""`dina-lrm align refl`: train a generator's LoRA by the gradient of a reward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console, progress
from dina_lrm.cli.prompts import prompts_of
from dina_lrm.recipes.alignment import ALIGNMENT_RECIPES

if TYPE_CHECKING:
    from dina_lrm.alignment.trainer import Look

    RecipeChoice = AlignConfig
else:
    RecipeChoice = tyro.extras.subcommand_type_from_defaults(
        {name: make() for name, make in ALIGNMENT_RECIPES.items()},
        {name: (make.__doc__ or "").split("\n")[0] for name, make in ALIGNMENT_RECIPES.items()},
        prefix_names=False,
    )

SYNTHETIC_PROMPTS = 2_000
"""How many prompts of the synthetic world a run draws from."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(CommonArguments):
    """Align a generator by reward feedback learning: the reward's gradient through one step of denoising.

    The generator is looked at from the same prompts and seeds at the start, every `--look-every` updates and at the
    end; on prompts of the synthetic world the oracle's true utility is shown beside the reward. The result is OUT/lora,
    which `pipeline.load_lora_weights` of diffusers reads.

    Example:
        dina-lrm align refl synthetic --prompts synthetic --out runs/refl --steps 4 --look-prompts 4
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
    prompts: str
    """A text file with a prompt a line, a published table or folder of prompts, or "synthetic"."""
    out: Path
    """The run's folder."""
    device: str | None = None
    """Where to compute; by default a GPU where there is one."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the newest checkpoint in --out; start when there is none."""
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False
    """Check everything on one micro-batch, and write nothing that stays."""


def run(arguments: Arguments) -> dict[str, object]:
    """Align, or check that it can be done."""
    config = arguments.recipe
    if (arguments.out / "config.json").is_file() and not (arguments.resume or arguments.dry_run):
        raise UserError(f"--out {arguments.out}: holds a run already; add --resume, or give another folder")
    prompts = list(prompts_of(arguments.prompts, [config.seed, 7], SYNTHETIC_PROMPTS).prompts)
    shown = list(prompts_of(arguments.prompts, [config.seed + 1, 7], config.look_prompts).prompts)[
        : config.look_prompts
    ]
    device = chosen_device(arguments.device)
    if arguments.dry_run:
        import tempfile

        few = config.micro_batch
        config = replace(config, steps=1, batch_size=few, look_every=1, look_images=1, checkpoint_every=1)
        with tempfile.TemporaryDirectory() as folder:
            return _align(config, prompts, shown[:2], Path(folder) / "run", device, False, arguments.quiet)
    return _align(config, prompts, shown, arguments.out, device, arguments.resume, arguments.quiet)


def _align(
    config: AlignConfig, prompts: list[str], shown: list[str], out: Path, device: str, resume: bool, quiet: bool
) -> dict[str, object]:
    from diffusers import DiffusionPipeline

    from dina_lrm.alignment.generator import Generator
    from dina_lrm.alignment.trainer import AlignmentRun
    from dina_lrm.locate import BUNDLED, locate_generator

    settings, say = config.generator, console(quiet)
    if settings.pretrained in BUNDLED:
        from dina_lrm.synthetic.world import bundled_pipeline

        pipeline = bundled_pipeline(settings.pretrained)
    else:
        absent = {} if settings.prompt_length else {"text_encoder_3": None, "tokenizer_3": None}
        pipeline = DiffusionPipeline.from_pretrained(locate_generator(settings.pretrained), **absent)
    generator = Generator(
        pipeline.to(device),
        settings.resolution,
        settings.rank,
        settings.alpha,
        settings.prompt_length,
        settings.guidance,
        config.seed,
    )
    looks: list[dict[str, object]] = []

    def on_look(look: Look) -> None:
        found = _look_line(look)
        looks.append(found)
        values = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if isinstance(value, float))
        say.print(f"step {look.step}: {values}", markup=False)

    aligned = AlignmentRun(config, generator, prompts, shown, out, resume)
    with progress("updates", quiet) as report:
        done = aligned.run(on_look, lambda step, steps, reward: report(step, steps))
    say.print(f"LoRA: {out / 'lora'}", markup=False)
    return {"recipe": config.name, "steps": done, "looks": looks, "lora": str(out / "lora")}


def _look_line(look: Look) -> dict[str, object]:
    import numpy as np

    from dina_lrm.synthetic.captions import true_parts
    from dina_lrm.synthetic.utility import PERSONALITIES

    found: dict[str, object] = {"step": look.step, "images": len(look.images)}
    found |= {name: float(values.mean()) for name, values in look.rewards.items()}
    truth = PERSONALITIES["balanced"].utility(true_parts(look.images, look.prompts))
    if not np.isnan(truth).all():
        found["true utility"] = float(np.nanmean(truth))
    return found
