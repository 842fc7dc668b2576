"""The options of `dina-lrm align distill`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.distillation import DISTILL_RECIPES

if TYPE_CHECKING:
    DistillChoice = DistillConfig
else:
    DistillChoice = recipe_type(choices(DISTILL_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Distill(AlignArguments):
    """Align a generator by on-policy distillation: it learns its own frozen base, guided by the rewards.

    At the states of its own samples it learns the base model's step, moved up the gradients of the rewards by a share
    of the step's length (`--distill.scale`): a bounded move, beyond which no reward can be climbed. Several rewards are
    brought to one size. Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which
    `pipeline.load_lora_weights` of diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align distill --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align distill synthetic --prompts synthetic --out runs/distill --steps 4 --looks.prompts 4
    """

    recipe: Annotated[DistillChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
