"""Complete runs of the forward process. A new one is a function here and a row of the table of its algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig, AwmSettings
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.recipes.bundled_alignment import LOOKS, REWARDS, UNCURATED
from dina_lrm.recipes.own_alignment import own_awm, own_nft


def nft_synthetic() -> NftConfig:
    """DiffusionNFT on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align nft synthetic --prompts synthetic --out runs/nft`
    """
    settings = ForwardSettings(group=8, levels_per_image=4, kl_weight=1e-4)
    return NftConfig(**_shared(), forward=settings)


def awm_synthetic() -> AwmConfig:
    """Advantage-weighted matching on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align awm synthetic --prompts synthetic --out runs/awm`
    """
    settings = ForwardSettings(group=8, old="short", scope="group", levels_per_image=4)
    return AwmConfig(**_shared(), forward=settings, awm=AwmSettings())


def _shared() -> dict[str, Any]:
    """What bundled runs of the forward process share."""
    return {
        "name": "synthetic",
        "steps": 30,
        "batch_size": 48,
        "micro_batch": 24,
        "generator": UNCURATED,
        "rewards": REWARDS,
        "lr": 1e-3,
        "ema_every": 1,
        "looks": LOOKS,
        "checkpoint_every": 10,
    }


NFT_RECIPES: Final[dict[str, Callable[[], NftConfig]]] = {"own": own_nft, "synthetic": nft_synthetic}
"""DiffusionNFT runs by name."""
AWM_RECIPES: Final[dict[str, Callable[[], AwmConfig]]] = {"own": own_awm, "synthetic": awm_synthetic}
"""Runs of advantage-weighted matching by name."""
