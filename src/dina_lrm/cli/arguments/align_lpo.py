"""The options of `dina-lrm align lpo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import LPO_RECIPES

if TYPE_CHECKING:
    RecipeChoice = LpoConfig
else:
    RecipeChoice = recipe_type(choices(LPO_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Arguments(AlignArguments):
    """Align a generator by latent preference optimisation: candidates of each denoising step are judged as they are.

    The reward has to read latents. Pairs that the reward is not sure of are not trained on; `kept` of metrics.jsonl is
    their share, which `--lpo.low` and `--lpo.high` decide.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align lpo --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align lpo synthetic --prompts synthetic --out runs/lpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[RecipeChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
