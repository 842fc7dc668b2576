"""The options of `dina-lrm align refl`, `flow-grpo`, `lpo` and `dpo`: those that all share, and the recipes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES

if TYPE_CHECKING:
    ReflChoice = ReflConfig
    GrpoChoice = GrpoConfig
    LpoChoice = LpoConfig
    DpoChoice = DpoConfig
else:
    ReflChoice, GrpoChoice = recipe_type(choices(REFL_RECIPES)), recipe_type(choices(GRPO_RECIPES))
    LpoChoice, DpoChoice = recipe_type(choices(LPO_RECIPES)), recipe_type(choices(DPO_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Refl(AlignArguments):
    """Align a generator by reward feedback learning: the reward's gradient through one step of denoising.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align refl --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align refl synthetic --prompts synthetic --out runs/refl --steps 4 --looks.prompts 4
    """

    recipe: Annotated[ReflChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class FlowGrpo(AlignArguments):
    """Align a generator by Flow-GRPO: images of a prompt compete, and steps that led to the better grow likelier.

    Rewards need no gradient. `--grpo.window every` is Flow-GRPO, other windows are Flow-GRPO-Fast; `--grpo.guard` is
    GRPO-Guard. Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which
    `pipeline.load_lora_weights` of diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align flow-grpo --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align flow-grpo synthetic --prompts synthetic --out runs/grpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[GrpoChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Lpo(AlignArguments):
    """Align a generator by latent preference optimisation: candidates of each denoising step are judged as they are.

    The reward has to read latents. Pairs that the reward is not sure of are not trained on; `kept` of metrics.jsonl is
    their share, which `--lpo.low` and `--lpo.high` decide.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align lpo --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align lpo synthetic --prompts synthetic --out runs/lpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[LpoChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Dpo(AlignArguments):
    """Align a generator by offline preference optimisation (Diffusion-DPO), the baseline of the other methods.

    Pairs of the generator's own samples are drawn and judged once, before the first update (`--dpo.prompts`,
    `--dpo.candidates`); rewards need no gradient.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align dpo --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align dpo synthetic --prompts synthetic --out runs/dpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[DpoChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
