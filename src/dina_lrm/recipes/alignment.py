"""Complete alignment runs. A new one is a function here and a row of the table of its algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig, DpoSettings
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig, GrpoSettings
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig, LpoSettings
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig, ReflSettings
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.recipes.bundled_alignment import IN_TEN, LOOKS, REWARDS, UNCURATED
from dina_lrm.recipes.distillation import BEST_RECIPES, DISTILL_RECIPES
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES
from dina_lrm.recipes.full_size_alignment import RELEASED
from dina_lrm.recipes.own_alignment import own_dpo, own_grpo, own_lpo, own_refl
from dina_lrm.sampling.reward_term import RewardTerm


def refl_synthetic() -> ReflConfig:
    """ReFL on the bundled world's uncurated generator with the bundled reward model, held near its base.

    `dina-lrm align refl synthetic --prompts synthetic --out runs/refl`

    Without `refl.kl_weight` the true utility falls after 10 updates at this rate (docs/results/alignment.md).
    """
    return ReflConfig(
        name="synthetic",
        steps=40,
        batch_size=16,
        micro_batch=16,
        generator=UNCURATED,
        rewards=REWARDS,
        refl=ReflSettings(first=4, last=9, kl_weight=1.0),
        lr=1e-3,
        ema_every=1,
        looks=LOOKS,
        checkpoint_every=10,
    )


def refl_synthetic_unet() -> ReflConfig:
    """ReFL on the bundled U-Net with the judge of pixels, through the decoder, held near its base.

    `dina-lrm align refl synthetic-unet --prompts synthetic --out runs/refl-unet`

    No bundled latent reward reads this generator's latents: the one for the other generator is the golden judge, on
    pictures. It stops where the true utility was highest with the seeds 0 to 2; with the seeds 3 to 5 it rises by 0.10
    (0.01 to 0.19, 96 prompts).
    """
    config = refl_synthetic()
    return replace(
        config,
        name="synthetic-unet",
        steps=12,
        batch_size=32,
        micro_batch=32,
        generator=replace(IN_TEN, pretrained="synthetic-unet", guidance=1.0),
        rewards=(RewardTerm("cnn"),),
        refl=replace(config.refl, kl_weight=10.0),
        looks=replace(LOOKS, every=2, golden="image:synthetic"),
        checkpoint_every=6,
    )


def refl_sd35m() -> ReflConfig:
    """The paper's run on Stable Diffusion 3.5 Medium (section 5): LoRA r=32, batches of 256, the reward at t = 0.4.

    `dina-lrm align refl paper-sd35m --prompts pick-a-pic.txt --out runs/refl --device cuda`

    The reward is the model released with the paper, from the hub; PickScore is the golden reward. Expected: the paper's
    figure 3; not measured here.
    """
    return ReflConfig(
        name="paper-sd35m",
        generator=GeneratorSettings(gradient_checkpointing=True),
        rewards=RELEASED,
        looks=LookSettings(every=10, golden="pickscore"),
    )


def grpo_synthetic() -> GrpoConfig:
    """Flow-GRPO-Fast on the bundled world's uncurated generator: the first 3 of 10 steps are stochastic.

    `dina-lrm align flow-grpo synthetic --prompts synthetic --out runs/grpo`
    """
    return GrpoConfig(
        name="synthetic",
        steps=30,
        batch_size=48,
        micro_batch=24,
        generator=UNCURATED,
        rewards=REWARDS,
        grpo=GrpoSettings(group=12, clip=1e-2, updates=2),
        lr=1e-3,
        ema_every=1,
        looks=LOOKS,
        checkpoint_every=10,
    )


def grpo_synthetic_unet() -> GrpoConfig:
    """The same on the bundled U-Net, a variance-preserving generator: DDIM's stochastic steps.

    `dina-lrm align flow-grpo synthetic-unet --prompts synthetic --out runs/grpo-unet`
    """
    config = grpo_synthetic()
    return replace(
        config,
        name="synthetic-unet",
        generator=replace(IN_TEN, pretrained="synthetic-unet"),
        rewards=(RewardTerm("image:synthetic", noise_level=0.2),),
        grpo=replace(config.grpo, kernel="ddim", eta=1.0),
    )


def grpo_fast_sd35m() -> GrpoConfig:
    """The paper's Flow-GRPO-Fast on Stable Diffusion 3.5 Medium (appendix C.2): 32 prompts of 18 images an update.

    `dina-lrm align flow-grpo paper-sd35m --prompts pick-a-pic.txt --out runs/grpo --device cuda`

    The reward is the model released with the paper, PickScore the golden one. Ten steps and their SDE are those
    of Flow-GRPO's published code. Expected: the paper's figure 5; not measured here.
    """
    return GrpoConfig(
        name="paper-sd35m",
        steps=800,
        batch_size=576,
        micro_batch=9,
        generator=GeneratorSettings(sampling_steps=10, gradient_checkpointing=True),
        rewards=RELEASED,
        grpo=GrpoSettings(clip=3e-6),
        lr=3e-4,
        looks=LookSettings(every=20, golden="pickscore", sampling_steps=40),
    )


def lpo_synthetic() -> LpoConfig:
    """Latent preference optimisation on the bundled world's uncurated generator with the bundled reward model.

    `dina-lrm align lpo synthetic --prompts synthetic --out runs/lpo`

    P(best) - P(worst) of the base model's candidates has medians from .45 at level .8 to .13 at .1 (48 states a step);
    the thresholds lie near them, and keep two of three pairs.
    """
    return LpoConfig(
        name="synthetic",
        steps=20,
        batch_size=16,
        micro_batch=16,
        generator=UNCURATED,
        rewards=REWARDS,
        lpo=LpoSettings(low=0.12, high=0.4),
        lr=1e-3,
        ema_every=1,
        looks=replace(LOOKS, every=2),
        checkpoint_every=10,
    )


def lpo_sd15() -> LpoConfig:
    """The run of the LPO paper on Stable Diffusion 1.5: DDIM with eta 1, 20 steps, guidance 5, thresholds .35 to .5.

    `dina-lrm align lpo paper-sd15 --prompts pick-a-pic.txt --out runs/lpo --device cuda`

    The reward is LRM-1.5's published folder (hub: casiatao/LRM, one folder a model; it learned from Pick-a-Pic), as
    lrm-1.5 in the working directory; ImageReward is the golden reward. Expected: the paper's table; not measured here.
    """
    return LpoConfig(
        name="paper-sd15",
        steps=500,
        batch_size=64,
        micro_batch=8,
        generator=GeneratorSettings(
            "stable-diffusion-v1-5/stable-diffusion-v1-5", 512, 0, sampling_steps=20, guidance=5.0
        ),
        rewards=(RewardTerm("latent:lrm-1.5"),),
        lpo=LpoSettings(kernel="ddim", eta=1.0),
        looks=LookSettings(golden="imagereward"),
    )


def dpo_synthetic() -> DpoConfig:
    """Offline preference optimisation on the bundled world: pairs of samples that the bundled reward model ranked.

    `dina-lrm align dpo synthetic --prompts synthetic --out runs/dpo`
    """
    return DpoConfig(
        name="synthetic",
        steps=60,
        batch_size=16,
        micro_batch=16,
        generator=UNCURATED,
        rewards=REWARDS,
        dpo=DpoSettings(),
        lr=1e-3,
        ema_every=1,
        looks=LOOKS,
        checkpoint_every=10,
    )


REFL_RECIPES: Final[dict[str, Callable[[], ReflConfig]]] = {
    "own": own_refl,
    "synthetic": refl_synthetic,
    "synthetic-unet": refl_synthetic_unet,
    "paper-sd35m": refl_sd35m,
}
"""ReFL runs by name."""
GRPO_RECIPES: Final[dict[str, Callable[[], GrpoConfig]]] = {
    "own": own_grpo,
    "synthetic": grpo_synthetic,
    "synthetic-unet": grpo_synthetic_unet,
    "paper-sd35m": grpo_fast_sd35m,
}
"""Flow-GRPO runs by name."""
LPO_RECIPES: Final[dict[str, Callable[[], LpoConfig]]] = {
    "own": own_lpo,
    "synthetic": lpo_synthetic,
    "paper-sd15": lpo_sd15,
}
"""LPO runs by name."""
DPO_RECIPES: Final[dict[str, Callable[[], DpoConfig]]] = {"own": own_dpo, "synthetic": dpo_synthetic}
"""Offline runs by name."""


def align_recipe(algorithm: str, name: str) -> AlignConfig | None:
    """The config that a run of this algorithm began with, None where no recipe has the name."""
    tables: dict[str, Mapping[str, Callable[[], AlignConfig]]] = {
        ReflConfig.algorithm: REFL_RECIPES,
        GrpoConfig.algorithm: GRPO_RECIPES,
        LpoConfig.algorithm: LPO_RECIPES,
        DpoConfig.algorithm: DPO_RECIPES,
        NftConfig.algorithm: NFT_RECIPES,
        AwmConfig.algorithm: AWM_RECIPES,
        CraftConfig.algorithm: CRAFT_RECIPES,
        CrdConfig.algorithm: CRD_RECIPES,
        DgpoConfig.algorithm: DGPO_RECIPES,
        DistillConfig.algorithm: {**DISTILL_RECIPES, "best": BEST_RECIPES["synthetic"]},
    }
    make = tables.get(algorithm, {}).get(name)
    return None if make is None else make()
