"""The paper's runs (section 5, Tables 2, 3, 6 and 7) on HPDv3's 0.8 M valid pairs: SD3.5-Medium, and two larger ones.

Beyond VLM-Based Rewards: Diffusion-Native Latent Reward Modeling, arXiv 2602.11146. The authors' weights of the first:
hub, liuhuohuo/DiNa-LRM-SD35M-12layers; not run here. docs/paper.md has a command a table, and what it costs.

One epoch is about 12,500 steps of 64 pairs; the paper used 8 GPUs of 80 GB. Scores are pairwise accuracies in per
cent at t = 0.4, in the order ImageReward / HPDv2 / HPDv3 / GenAI-Bench, then their mean.
"""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.preference.distributions import Constant, LogitNormal, Uniform
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
    TrainConfig,
)


def sd35m() -> TrainConfig:
    """The paper's model: LoRA r=64 on the first 12 blocks, t uniform, noise-calibrated Thurstone.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m --data CACHE --out runs/paper`

    Expected: 60.3 / 82.1 / 75.0 / 68.4, mean 71.5; with the ensemble {0.2, 0.5, 0.7} 72.5.
    """
    return TrainConfig(
        name="paper-sd35m",
        epochs=1.0,
        batch_size=64,
        model=ModelSettings(
            BackboneConfig(
                family="sd3",
                pretrained="stabilityai/stable-diffusion-3.5-medium",
                depth=12,
                visual_taps=(4, 8, 12),
                text_taps=(4, 8, 12),
                prompt_length=128,
            ),
            resolution=1024,
        ),
        adaptation=AdaptationSettings("lora", LoraSettings(rank=64, alpha=128.0)),
        objective=ObjectiveSettings(preference=PreferenceSettings("paper"), noise_levels=NoiseLevelSettings(Uniform())),
        optimizer=OptimizerSettings(lr=5e-5, weight_decay=0.01, clip_norm=1.0),
        ema=EmaSettings(decay=0.995),
        compute=ComputeSettings(gradient_checkpointing=True),
        log=LogSettings(log_every=20, checkpoint_every=500),
    )


def flux1_dev() -> TrainConfig:
    """FLUX.1-dev, its 19 double blocks (Table 6); read as the generator itself is run, not as the released code does.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-flux1-dev --data CACHE --out runs/flux`

    Expected: 59.0 / 81.2 / 72.6 / 66.7, mean 69.9 (of the released code's reading).
    """
    taps = (8, 12, 16, 19)
    model = ModelSettings(
        BackboneConfig("flux", "black-forest-labs/FLUX.1-dev", 19, visual_taps=taps, text_taps=taps, prompt_length=128),
        resolution=1024,
        head=QFormerConfig(width=1536, use_proj_in=True),
    )
    return replace(sd35m(), name="paper-flux1-dev", model=model)


def z_image_turbo() -> TrainConfig:
    """Z-Image-Turbo, 16 of 30 layers (Table 6), LoRA r=32; captions have no fixed length, so that padding is masked.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-z-image-turbo --data CACHE --out runs/z-image`

    Expected: 60.1 / 81.8 / 71.6 / 67.2, mean 70.2 (of the released code's reading).
    """
    taps = (4, 8, 12, 16)
    model = ModelSettings(
        BackboneConfig("z-image", "Tongyi-MAI/Z-Image-Turbo", 16, visual_taps=taps, text_taps=taps, prompt_length=128),
        resolution=1024,
        head=QFormerConfig(width=1536, use_proj_in=True, mask_text_padding=True),
    )
    adaptation = AdaptationSettings("lora", LoraSettings(rank=32, alpha=64.0))
    return replace(sd35m(), name="paper-z-image-turbo", model=model, adaptation=adaptation)


def sd35m_released() -> TrainConfig:
    """The paper's model with the variance and the constants of the code released with the paper.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-released --data CACHE --out runs/released`

    Expected: as `paper-sd35m`.
    """
    return _variant("paper-sd35m-released", objective=ObjectiveSettings(preference=PreferenceSettings("released")))


def sd35m_fixed_variance() -> TrainConfig:
    """Ablation: one variance at every noise level.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-fixed-variance --data CACHE --out runs/fixed`

    Expected: 60.9 / 78.7 / 75.1 / 68.0, mean 70.7; the ensemble does not help (70.4).
    """
    return _variant("paper-sd35m-fixed-variance", objective=ObjectiveSettings(preference=PreferenceSettings("fixed")))


def sd35m_frozen() -> TrainConfig:
    """Ablation: only the head learns.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-frozen --data CACHE --out runs/frozen`

    Expected: below `paper-sd35m` on every set, and still competitive (Table 3).
    """
    return _variant("paper-sd35m-frozen", adaptation=AdaptationSettings(kind="frozen"))


def sd35m_constant_0() -> TrainConfig:
    """Ablation: trained on clean latents; plain Thurstone.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-constant-0 --data CACHE --out runs/constant-0`

    Expected, scored at t = 0: 58.6 / 59.2 / 74.4 / 67.6, mean 64.9: good in domain only.
    """
    return _constant(0.0)


def sd35m_constant_02() -> TrainConfig:
    """Ablation: trained at one low noise level.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-constant-0.2 --data CACHE --out runs/constant-02`

    Expected, scored at t = 0.2: 59.6 / 62.9 / 74.7 / 68.0, mean 66.3.
    """
    return _constant(0.2)


def sd35m_constant_07() -> TrainConfig:
    """Ablation: trained at one high noise level.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-constant-0.7 --data CACHE --out runs/constant-07`

    Expected, scored at t = 0.7: 59.9 / 73.8 / 73.3 / 68.0, mean 68.8.
    """
    return _constant(0.7)


def sd35m_logit_normal_high() -> TrainConfig:
    """Ablation: mostly high noise levels.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-logit-normal-high --data CACHE --out runs/high`

    Expected: 60.4 / 78.7 / 74.9 / 68.4, mean 70.6; with the ensemble 71.2.
    """
    return _logit_normal("paper-sd35m-logit-normal-high", 0.8)


def sd35m_logit_normal_low() -> TrainConfig:
    """Ablation: mostly low noise levels.

    `accelerate launch --num_processes 8 -m dina_lrm train paper-sd35m-logit-normal-low --data CACHE --out runs/ln-low`

    Expected: 60.4 / 79.1 / 75.4 / 68.5, mean 70.9; with the ensemble 71.4.
    """
    return _logit_normal("paper-sd35m-logit-normal-low", -0.8)


def _variant(
    name: str, objective: ObjectiveSettings | None = None, adaptation: AdaptationSettings | None = None
) -> TrainConfig:
    base = sd35m()
    return replace(base, name=name, objective=objective or base.objective, adaptation=adaptation or base.adaptation)


def _constant(level: float) -> TrainConfig:
    levels = NoiseLevelSettings(Constant(level))
    config = _variant(
        f"paper-sd35m-constant-{level:g}",
        objective=ObjectiveSettings(preference=PreferenceSettings("fixed"), noise_levels=levels),
    )
    return replace(config, model=replace(config.model, noise_level=level))


def _logit_normal(name: str, mu: float) -> TrainConfig:
    levels = NoiseLevelSettings(LogitNormal(mu, s=1.0))
    return _variant(name, objective=ObjectiveSettings(noise_levels=levels))
