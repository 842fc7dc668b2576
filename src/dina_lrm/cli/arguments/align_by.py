"""The options of `dina-lrm align refl`, `flow-grpo`, `lpo` and `dpo`: those that all share, and the recipes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import tyro

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.common import UserError
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES

PAIRS: Final = "pairs"
"""The word for the prompts of the pairs themselves."""

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


@dataclass(kw_only=True)
class GivenPairs(AlignArguments):
    """Options of a command that may learn from pairs that are given."""

    recipe: DpoConfig
    """Which run."""
    prompts: str = PAIRS
    """A text file with a prompt a line, a published table or folder of prompts, or "synthetic"; "pairs" are those of
    --pairs. With --pairs prompts are looked at alone, and those that are looked at are not learned from."""
    pairs: str | None = None
    """Comparisons to learn from: a table in any layout of docs/data.md, a store of votes, a cache folder made by
    `prepare` or its address, hub:OWNER/NAME, or a table of pictures that were liked or rated."""
    columns: str | None = None
    """Where our columns stand in a table of --pairs with other names, such as chosen=win,rejected=lose; without --pairs
    which column of a table holds the prompts: prompt=title."""

    def check(self) -> None:
        """Refuse, beside what every command refuses, what goes with pairs alone, or without them alone."""
        super().check()
        given = self.recipe.dpo
        if self.pairs is None:
            if self.prompts == PAIRS:
                raise UserError("--prompts: is missing; accepted: a file of prompts, synthetic, or --pairs FILE")
            alone = {"kind": given.kind == "kto", "reward": given.reward != "judges"}
            alone["liked_from"] = given.liked_from is not None
            for name in (name for name, asked in alone.items() if asked):
                option = name.replace("_", "-")
                raise UserError(f"--dpo.{option} {getattr(given, name)}: has no effect without --pairs")
            return
        known = [make() for make in DPO_RECIPES.values()]
        for name in ("prompts", "candidates"):
            value, plain = getattr(given, name), {getattr(config.dpo, name) for config in known}
            if value not in plain:
                raise UserError(f"--dpo.{name} {value}: has no effect with --pairs, which are not drawn")


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Dpo(GivenPairs):
    """Align a generator by offline preference optimisation: Diffusion-DPO, IPO or KTO, on pairs of people or its own.

    With `--pairs` it learns from comparisons that people made, votes, or pictures that were liked or not
    (`--dpo.kind kto`); the reward then judges the looks alone. Without, pairs of the generator's own samples are drawn
    and judged once, before the first update (`--dpo.prompts`, `--dpo.candidates`); rewards need no gradient.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align dpo --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align dpo --generator.pretrained my/generator --pairs votes.sqlite --out runs/tuned
        dina-lrm align dpo synthetic --prompts synthetic --out runs/dpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[DpoChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
