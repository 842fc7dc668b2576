"""The options of `dina-lrm align distill`, and of `dina-lrm align best`, which is the same with other recipes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.distillation import BEST_RECIPES, DISTILL_RECIPES

if TYPE_CHECKING:
    DistillChoice = DistillConfig
    BestChoice = DistillConfig
else:
    DistillChoice = recipe_type(choices(DISTILL_RECIPES))
    BestChoice = recipe_type(choices(BEST_RECIPES))


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


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Best(AlignArguments):
    """Align a generator in the way that gained most for its compute in our study: distillation of guidance and reward.

    The teacher is the frozen base model under its usual classifier-free guidance, moved up the rewards' gradients; the
    student learns its steps at the states of its own samples, and is then sampled without guidance, at half the cost a
    picture. It is `align distill` with other settings: `docs/results/alignment.md` has what each part is worth, and
    `docs/objectives.md` says when to use another objective. The result is OUT/lora, which `pipeline.load_lora_weights`
    of diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align best --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align best synthetic --prompts synthetic --out runs/best --steps 4 --looks.prompts 4
    """

    recipe: Annotated[BestChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""

    @classmethod
    def recipes(cls) -> Mapping[str, Callable[[], AlignConfig]]:
        """The winners' recipes."""
        return BEST_RECIPES
