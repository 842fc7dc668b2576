"""Families and heads on the bundled world: the U-Net beside the transformer, LRM beside the paper's head."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.heads.settings import PooledConfig, QFormerConfig
from dina_lrm.preference.distributions import Timesteps, Uniform
from dina_lrm.recipes.synthetic import synthetic
from dina_lrm.training.config import (
    NoiseLevelSettings,
    ObjectiveSettings,
    PreferenceSettings,
    TrainConfig,
)


def synthetic_unet() -> TrainConfig:
    """The paper's head and objective on the world's U-Net: LoRA r=16 on its attention.

    `dina-lrm train synthetic-unet --data synthetic --out runs/unet`

    At equal ratios of noise and signal, levels 0.06, 0.24 and 0.35 of its variance-preserving process are 0.2, 0.4 and
    0.5 of a flow: training and scoring see as much noise as in `synthetic`. Expected: as fast as `synthetic`; how
    accurate depends on how far the U-Net was pretrained, which its model card says.
    """
    base = synthetic()
    model = replace(
        base.model,
        backbone=BackboneConfig(
            "stable-diffusion", "synthetic-unet", depth=3, visual_taps=(1, 2, 3), text_taps=(0,), prompt_length=0
        ),
        noise_level=0.06,
        ensemble_levels=(0.02, 0.06, 0.24),
        head=QFormerConfig(width=160, attention_heads=5),
    )
    objective = ObjectiveSettings(noise_levels=NoiseLevelSettings(Uniform(0.0, 0.35)))
    return replace(base, name="synthetic-unet", steps=600, model=model, objective=objective)


def synthetic_unet_lrm() -> TrainConfig:
    """LRM on the world's U-Net: pooled maps with feature enhancement, Bradley-Terry, timesteps 1, 51, ..., 351.

    `dina-lrm train synthetic-unet-lrm --data synthetic --out runs/unet-lrm`

    Each step runs the U-Net twice, for the prompt and for the empty prompt. Expected: twice the time of
    `synthetic-unet`.
    """
    base = synthetic_unet()
    backbone = replace(base.model.backbone, text_taps=())
    model = replace(base.model, backbone=backbone, head_kind="pooled", pooled=PooledConfig(width=160))
    return replace(base, name="synthetic-unet-lrm", model=model, objective=_objective(last=351.0))


def synthetic_lrm() -> TrainConfig:
    """LRM on the world's transformer: the same pairs and LoRA as the paper's head gets, another head and objective.

    `dina-lrm train synthetic-lrm --data synthetic --out runs/lrm`

    Expected: twice the time of a step of `synthetic`, for the passes with the empty prompt.
    """
    base = synthetic()
    backbone = replace(base.model.backbone, text_taps=())
    model = replace(base.model, backbone=backbone, head_kind="pooled", pooled=PooledConfig(width=160))
    return replace(base, name="synthetic-lrm", steps=600, model=model, objective=_objective(last=501.0))


def _objective(last: float) -> ObjectiveSettings:
    # Above an equal share of noise, little of a picture of this size is left to be judged
    levels = NoiseLevelSettings(Timesteps(first=1.0, last=last, interval=50.0))
    return ObjectiveSettings(PreferenceSettings("lrm"), levels, weighting="prompt")
