"""The options of `dina-lrm align refl`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import REFL_RECIPES

if TYPE_CHECKING:
    RecipeChoice = ReflConfig
else:
    RecipeChoice = recipe_type(choices(REFL_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(AlignArguments):
    """Align a generator by reward feedback learning: the reward's gradient through one step of denoising.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align refl --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align refl synthetic --prompts synthetic --out runs/refl --steps 4 --looks.prompts 4
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
