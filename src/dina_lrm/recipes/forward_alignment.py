"""Complete runs of the forward process. A new one is a function here and a row of the table of its algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.recipes.bundled_alignment import LOOKS, REWARDS, UNCURATED
from dina_lrm.recipes.full_size_alignment import awm_sd35m, craft_sd35m, crd_sd35m, dgpo_sd35m, nft_sd35m
from dina_lrm.recipes.own_alignment import own_awm, own_craft, own_crd, own_dgpo, own_nft


def nft_synthetic() -> NftConfig:
    """DiffusionNFT on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align nft synthetic --prompts synthetic --out runs/nft`

    Samples are learned from once, by the LoRA that drew them; images of a prompt are noised by one draw.
    """
    return NftConfig(**_shared(), forward=_GROUPS)


def awm_synthetic() -> AwmConfig:
    """Advantage-weighted matching on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align awm synthetic --prompts synthetic --out runs/awm`
    """
    return AwmConfig(**_shared(), forward=replace(_GROUPS, scope="group"))


_GROUPS: Final = ForwardSettings(group=8, old="copy", levels_per_image=3, shared_noise=True)
"""Few levels an image and no older copy: one optimiser step a rollout, whose samples are its own."""


def crd_synthetic() -> CrdConfig:
    """Centred reward distillation on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align crd synthetic --prompts synthetic --out runs/crd`
    """
    return CrdConfig(**_shared(), forward=replace(_GROUPS, old="firm"))


def dgpo_synthetic() -> DgpoConfig:
    """Direct group preference optimisation on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align dgpo synthetic --prompts synthetic --out runs/dgpo`
    """
    return DgpoConfig(**_shared(), forward=replace(_GROUPS, scope="group"))


def craft_synthetic() -> CraftConfig:
    """CRAFT on the bundled world's uncurated generator: samples that the bundled reward model prefers, drawn once.

    `dina-lrm align craft synthetic --prompts synthetic --out runs/craft`
    """
    return CraftConfig(**_shared())


def _shared() -> dict[str, Any]:
    """What bundled runs of the forward process share."""
    return {
        "name": "synthetic",
        "steps": 20,
        "batch_size": 64,
        "micro_batch": 32,
        "generator": UNCURATED,
        "rewards": REWARDS,
        "lr": 2e-3,
        "ema_every": 1,
        "looks": replace(LOOKS, every=4),
        "checkpoint_every": 10,
    }


NFT_RECIPES: Final[dict[str, Callable[[], NftConfig]]] = {
    "own": own_nft,
    "synthetic": nft_synthetic,
    "paper-sd35m": nft_sd35m,
}
"""DiffusionNFT runs by name."""
AWM_RECIPES: Final[dict[str, Callable[[], AwmConfig]]] = {
    "own": own_awm,
    "synthetic": awm_synthetic,
    "paper-sd35m": awm_sd35m,
}
"""Runs of advantage-weighted matching by name."""
CRD_RECIPES: Final[dict[str, Callable[[], CrdConfig]]] = {
    "own": own_crd,
    "synthetic": crd_synthetic,
    "paper-sd35m": crd_sd35m,
}
"""Runs of centred reward distillation by name."""
DGPO_RECIPES: Final[dict[str, Callable[[], DgpoConfig]]] = {
    "own": own_dgpo,
    "synthetic": dgpo_synthetic,
    "paper-sd35m": dgpo_sd35m,
}
"""Runs of direct group preference optimisation by name."""
CRAFT_RECIPES: Final[dict[str, Callable[[], CraftConfig]]] = {
    "own": own_craft,
    "synthetic": craft_synthetic,
    "paper-sd35m": craft_sd35m,
}
"""Runs of CRAFT by name."""
