"""The options of `dina-lrm align dpo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import DPO_RECIPES

if TYPE_CHECKING:
    RecipeChoice = DpoConfig
else:
    RecipeChoice = recipe_type(choices(DPO_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(AlignArguments):
    """Align a generator by offline preference optimisation (Diffusion-DPO), the baseline of the other methods.

    Pairs of the generator's own samples are drawn and judged once, before the first update (`--dpo.prompts`,
    `--dpo.candidates`); rewards need no gradient.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align dpo --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align dpo synthetic --prompts synthetic --out runs/dpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
