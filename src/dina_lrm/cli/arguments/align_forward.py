"""The options of `dina-lrm align nft`, `awm`, `craft`, `crd` and `dgpo`: those that all share, and their recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.cli.arguments.align import AlignArguments, choices
from dina_lrm.console.own_recipe import recipe_type
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES

if TYPE_CHECKING:
    NftChoice = NftConfig
    AwmChoice = AwmConfig
    CraftChoice = CraftConfig
    CrdChoice = CrdConfig
    DgpoChoice = DgpoConfig
else:
    NftChoice, AwmChoice = recipe_type(choices(NFT_RECIPES)), recipe_type(choices(AWM_RECIPES))
    CraftChoice = recipe_type(choices(CRAFT_RECIPES))
    CrdChoice, DgpoChoice = recipe_type(choices(CRD_RECIPES)), recipe_type(choices(DGPO_RECIPES))


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Nft(AlignArguments):
    """Align a generator by DiffusionNFT: noised samples draw it nearer or push it away, by their rewards in a group.

    Rewards need no gradient, sampling is the plain ODE, and no likelihood is computed. Samples are drawn by an older
    copy of the LoRA (`--forward.old`) without guidance (`--forward.rollout-guidance`).

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align nft --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align nft synthetic --prompts synthetic --out runs/nft --steps 4 --looks.prompts 4
    """

    recipe: Annotated[NftChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Awm(AlignArguments):
    """Align a generator by advantage-weighted matching: the policy gradient with the matching error as likelihood.

    Rewards need no gradient, and sampling is the plain ODE. Samples are drawn by an older copy of the LoRA
    (`--forward.old`) without guidance (`--forward.rollout-guidance`); `--awm.hold` holds the LoRA to it.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align awm --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align awm synthetic --prompts synthetic --out runs/awm --steps 4 --looks.prompts 4
    """

    recipe: Annotated[AwmChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Crd(AlignArguments):
    """Align a generator by centred reward distillation: gaps between rewards become gaps between matching errors.

    It stops where the gaps are as large as asked for (`--crd.beta`). Rewards need no gradient, and sampling is the
    plain ODE, by a copy of the LoRA (`--crd.sampling`) without guidance (`--forward.rollout-guidance`).

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align crd --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align crd synthetic --prompts synthetic --out runs/crd --steps 4 --looks.prompts 4
    """

    recipe: Annotated[CrdChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Dgpo(AlignArguments):
    """Align a generator by direct group preference optimisation: better images of a prompt against worse, as in DPO.

    Images of a prompt share noise and level. Rewards need no gradient, and sampling is the plain ODE, by an older copy
    of the LoRA (`--forward.old`) without guidance (`--forward.rollout-guidance`).

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align dgpo --generator.pretrained my/generator --reward clip --prompts all.txt --out runs/mine
        dina-lrm align dgpo synthetic --prompts synthetic --out runs/dgpo --steps 4 --looks.prompts 4
    """

    recipe: Annotated[DgpoChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""


@tyro.conf.configure(tyro.conf.CascadeSubcommandArgs)
@dataclass
class Craft(AlignArguments):
    """Align a generator by CRAFT: it learns from its own samples that rewards prefer, drawn and filtered once.

    All rewards have to prefer a sample to the first of its prompt, or `--craft.at-least` of them. Rewards need no
    gradient, and are asked before the first update alone.

    Looks at the same prompts and seeds show how it goes. The result is OUT/lora, which `pipeline.load_lora_weights` of
    diffusers reads, and OUT/report.html.

    Examples:
        dina-lrm align craft --reward runs/mine --prompts prompts.txt --out runs/tuned
        dina-lrm align craft synthetic --prompts synthetic --out runs/craft --steps 4 --looks.prompts 4
    """

    recipe: Annotated[CraftChoice, tyro.conf.arg(name="")]
    """Which run: a name of the table of recipes."""
