"""The options of `dina-lrm align flow-grpo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.flow_grpo_settings import GrpoConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import GRPO_RECIPES

if TYPE_CHECKING:
    RecipeChoice = GrpoConfig
else:
    RecipeChoice = recipe_type(choices(GRPO_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(AlignArguments):
    """Align a generator by Flow-GRPO: images of a prompt compete, and steps that led to the better grow likelier.

    Rewards need no gradient. `--grpo.window every` is Flow-GRPO, other windows are Flow-GRPO-Fast; `--grpo.guard` is
    GRPO-Guard. Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which
    `pipeline.load_lora_weights` of diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align flow-grpo --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align flow-grpo synthetic --prompts synthetic --out runs/grpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
