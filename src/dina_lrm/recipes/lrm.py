"""LRM (arXiv 2502.01051), the diffusion-based baseline: pooled maps against the pooled prompt, Bradley-Terry.

Timesteps 1, 51, ..., 951; every weight of the down and mid blocks learns; a comparison weighs 1 / number of comparisons
of its prompt. LRM trains its text encoders too, which these runs keep as they were pretrained: prompts are encoded
once, into the cache. On pairs that pass the consistent filter of `data/filtering.py` (LRM: the middle of three
strengths).
"""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.heads.settings import PooledConfig
from dina_lrm.preference.distributions import Timesteps
from dina_lrm.training.config import (
    AdaptationSettings,
    ComputeSettings,
    EmaSettings,
    LogSettings,
    ModelSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceSettings,
    ScheduleSettings,
    TrainConfig,
)

OBJECTIVE = ObjectiveSettings(PreferenceSettings("lrm"), NoiseLevelSettings(Timesteps()), weighting="prompt")


def sd15() -> TrainConfig:
    """LRM-1.5: Stable Diffusion 1.5, 4,000 steps.

    `accelerate launch --num_processes 8 -m dina_lrm train lrm-sd15 --data CACHE --out runs/lrm-sd15`

    Batches are 16 pairs on each of 8 GPUs; clean latents are scored at timestep 1. Expected: not measured.
    """
    return TrainConfig(
        name="lrm-sd15",
        steps=4_000,
        batch_size=128,
        model=ModelSettings(
            BackboneConfig(
                family="stable-diffusion",
                pretrained="stable-diffusion-v1-5/stable-diffusion-v1-5",
                depth=5,
                visual_taps=(1, 2, 3, 4, 5),
                prompt_length=0,
            ),
            resolution=512,
            noise_level=0.002,
            ensemble_levels=(0.052, 0.202, 0.402),
            head_kind="pooled",
        ),
        adaptation=AdaptationSettings(kind="full"),
        objective=OBJECTIVE,
        optimizer=OptimizerSettings(lr=1e-5),
        schedule=ScheduleSettings("constant", warmup_steps=500),
        ema=EmaSettings(enabled=False),
        compute=ComputeSettings(precision="bf16", gradient_checkpointing=True),
        log=LogSettings(log_every=20, checkpoint_every=500),
    )


def sdxl() -> TrainConfig:
    """LRM-XL: SDXL, whose second text encoder projects the prompt already.

    `accelerate launch --num_processes 8 -m dina_lrm train lrm-sdxl --data CACHE --out runs/lrm-sdxl`

    Batches are 4 pairs on each of 8 GPUs. Expected: not measured.
    """
    base = sd15()
    return replace(
        base,
        name="lrm-sdxl",
        batch_size=32,
        model=replace(
            base.model,
            backbone=replace(
                base.model.backbone,
                pretrained="stabilityai/stable-diffusion-xl-base-1.0",
                depth=4,
                visual_taps=(1, 2, 3, 4),
            ),
            resolution=1024,
            pooled=PooledConfig(text_projection=False),
        ),
        schedule=ScheduleSettings("constant", warmup_steps=1_000),
    )


def sd3() -> TrainConfig:
    """LRM on a transformer: the first 18 of the 24 joint blocks of Stable Diffusion 3, every sixth read.

    `accelerate launch --num_processes 8 -m dina_lrm train lrm-sd3 --data CACHE --out runs/lrm-sd3`

    The taps are ours: the article says how deep it reads, not where. LoRA instead of every weight, to fit one GPU.
    Expected: not measured.
    """
    base = sd15()
    return replace(
        base,
        name="lrm-sd3",
        batch_size=32,
        model=replace(
            base.model,
            backbone=BackboneConfig(
                family="sd3",
                pretrained="stabilityai/stable-diffusion-3-medium-diffusers",
                depth=18,
                visual_taps=(6, 12, 18),
                prompt_length=77,
            ),
            resolution=1024,
        ),
        adaptation=AdaptationSettings(kind="lora"),
        optimizer=OptimizerSettings(lr=5e-5),
    )
