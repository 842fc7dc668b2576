"""Runs on Stable Diffusion 3.5 Medium of objectives beyond the paper's, with the constants of their own authors.

What they share is not their authors': the reward is the model released with the paper, at the 1024 pixels that it
learned from (DiffusionNFT, AWM and DGPO have 512), PickScore is the golden reward where it is none of the rewards, and
the length of the runs is that of Flow-GRPO here. None was run here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig, DistillSettings
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig, CraftSettings
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig, CrdSettings
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig, DgpoSettings
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.sampling.reward_term import RewardTerm

RELEASED: Final = (RewardTerm("latent:liuhuohuo/DiNa-LRM-SD35M-12layers"),)
"""The reward model that the paper's authors released, by its hub id; it learned from HPDv3."""
_IN_TEN: Final = GeneratorSettings(sampling_steps=10, guidance=1.0, gradient_checkpointing=True)
"""Without guidance, in training and in looks: each of these objectives makes it dispensable."""


def nft_sd35m() -> NftConfig:
    """DiffusionNFT on Stable Diffusion 3.5 Medium as in its authors' code: 48 prompts of 24 images an update.

    `dina-lrm align nft paper-sd35m --prompts pick-a-pic.txt --out runs/nft --device cuda`

    Nine of ten noise levels an image, beta 1, the older policy ever slower (arXiv 2509.16117, their run on PickScore).
    They sample with a solver of second order. Expected: nothing that was measured here.
    """
    settings = ForwardSettings(group=24, old="slow", levels_per_image=9, kl_weight=1e-4)
    return NftConfig(**_online(), batch_size=1152, forward=settings)


def awm_sd35m() -> AwmConfig:
    """Advantage-weighted matching on Stable Diffusion 3.5 Medium as in its authors' code: 24 prompts of 24 images.

    `dina-lrm align awm paper-sd35m --prompts pick-a-pic.txt --out runs/awm --device cuda`

    Fourteen steps of sampling, six noise levels an image (arXiv 2509.25050, their run on PickScore). They sample with
    SA-Solver. Expected: nothing that was measured here.
    """
    shared = _online() | {"generator": replace(_IN_TEN, sampling_steps=14), "ema_decay": 0.99, "ema_every": 1}
    settings = ForwardSettings(group=24, old="short", levels_per_image=6, kl_weight=1e-4)
    return AwmConfig(**shared, batch_size=576, forward=settings)


def crd_sd35m() -> CrdConfig:
    """Centred reward distillation on Stable Diffusion 3.5 Medium: 24 prompts of 24 images, samples of a slow copy.

    `dina-lrm align crd paper-sd35m --prompts pick-a-pic.txt --out runs/crd --device cuda`

    Errors divided by their size, schedules and the KL to the guided base model, by how good an image is, are those of
    arXiv 2603.14128; the number of prompts is not known. Expected: nothing that was measured here.
    """
    settings = ForwardSettings(group=24, old="firm", kl_weight=0.1, kl_guidance=4.5, kl_by_reward=True)
    return CrdConfig(**_online(), batch_size=576, forward=settings, crd=CrdSettings(weighting="adaptive"))


def dgpo_sd35m() -> DgpoConfig:
    """Direct group preference optimisation on Stable Diffusion 3.5 Medium: 24 prompts of 24 images, no guidance.

    `dina-lrm align dgpo paper-sd35m --prompts pick-a-pic.txt --out runs/dgpo --device cuda`

    Four noise levels an image, and the KL to the guided base model (arXiv 2510.08425, their runs without guidance; they
    take levels from the noisier part of the schedule, here they are any). Expected: nothing that was measured here.
    """
    group = ForwardSettings(group=24, old="short", levels_per_image=4, scope="group", kl_weight=0.02, kl_guidance=4.5)
    return DgpoConfig(**_online(), batch_size=576, forward=group, dgpo=DgpoSettings(clip=1e-3))


def craft_sd35m() -> CraftConfig:
    """CRAFT on Stable Diffusion 3.5 Medium with the constants that it has for SDXL: samples that three rewards prefer.

    `dina-lrm align craft paper-sd35m --prompts pick-a-pic.txt --out runs/craft --device cuda`

    Samples of 10,000 prompts, 200 updates of 128 images (arXiv 2603.18991). The released reward stands for the
    aesthetic predictor, and ImageReward is the golden reward. Their candidates are of rewritten prompts, here of other
    noise. Expected: nothing that was measured here.
    """
    return CraftConfig(
        name="paper-sd35m",
        steps=200,
        batch_size=128,
        generator=GeneratorSettings(gradient_checkpointing=True),
        rewards=(*RELEASED, RewardTerm("hpsv2"), RewardTerm("pickscore")),
        lr=5e-5,
        looks=LookSettings(every=20, golden="imagereward"),
        craft=CraftSettings(prompts=10_000),
    )


def distill_sd35m() -> DistillConfig:
    """On-policy distillation on Stable Diffusion 3.5 Medium under guidance of the released reward, at noisy states.

    `dina-lrm align distill paper-sd35m --prompts pick-a-pic.txt --out runs/distill --device cuda`

    Ten steps of which nine learn, the reward's pull 0.4 of the step's length above the noise level 0.2, as in RG-OPD's
    code for Stable Diffusion 3; the number of images an update is not known. Expected: nothing that was measured here.
    """
    settings = DistillSettings(scale=0.4, reading="noisy", lowest=0.2)
    return DistillConfig(**_online(), batch_size=64, distill=settings)


def _online() -> dict[str, Any]:
    """What runs on samples of the policy share."""
    return {
        "name": "paper-sd35m",
        "steps": 800,
        "generator": _IN_TEN,
        "rewards": RELEASED,
        "lr": 3e-4,
        "looks": LookSettings(every=20, golden="pickscore", sampling_steps=40),
    }
