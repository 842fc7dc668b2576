"""Runs on the bundled world: minutes on two CPU cores, and the true utility is known."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.preference.distributions import Uniform
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
    TeacherSettings,
    TrainConfig,
)


def synthetic() -> TrainConfig:
    """LoRA r=16 on the 8 blocks of the bundled generator, three rankings of eight pictures a step.

    `dina-lrm train synthetic --data synthetic --out runs/synthetic`

    Noise levels end at 0.5: above it, little of a picture of this size is left to be judged. Expected: four minutes on
    two cores; the accuracies are in the README.
    """
    return TrainConfig(
        name="synthetic",
        steps=800,
        batch_size=84,
        model=ModelSettings(
            BackboneConfig("sd3", "synthetic", depth=8, visual_taps=(2, 5, 8), text_taps=(2, 5, 7), prompt_length=0),
            resolution=32,
            noise_level=0.2,
            ensemble_levels=(0.1, 0.2, 0.4),
            head=QFormerConfig(attention_heads=5),
        ),
        adaptation=AdaptationSettings("lora", LoraSettings(rank=16, alpha=32.0)),
        objective=ObjectiveSettings(noise_levels=NoiseLevelSettings(Uniform(0.0, 0.5))),
        optimizer=OptimizerSettings(lr=1.5e-3),
        schedule=ScheduleSettings("cosine", warmup_steps=25, final_factor=0.05),
        ema=EmaSettings(decay=0.99),
        # A step is too small for bfloat16 to pay for its casts, and the figures are then the same on every processor
        compute=ComputeSettings(precision="fp32"),
        log=LogSettings(log_every=10, checkpoint_every=200, keep_last=1),
    )


def synthetic_long() -> TrainConfig:
    """The recipe of the bundled reward model: the same for more steps, and no prompt twice.

    `dina-lrm train synthetic-long --data synthetic --synthetic-prompts 36000 --out runs/long --compute.compile`

    Three prompts a step: 36,000 of them are read once. On 6,000 prompts read three times it learned them by heart (81 %
    in training, 77 % in domain). Expected: 50 minutes on one core, seven of them for encoding; its model card has what
    it reaches.
    """
    return replace(synthetic(), name="synthetic-long", steps=12_000)


def synthetic_best() -> TrainConfig:
    """The changes to the paper's recipe that won on this world, at the same cost of training.

    `dina-lrm train synthetic-best --data synthetic --out runs/best`

    Labels are mixed with the bundled model's win probabilities, and the loss is the negative log-likelihood, whose
    probabilities can be believed. Expected: docs/results.md, beyond the paper.
    """
    base = synthetic()
    preference = PreferenceSettings("paper", loss="nll")
    objective = replace(base.objective, preference=preference, teacher=TeacherSettings("synthetic", weight=0.5))
    return replace(base, name="synthetic-best", objective=objective)


def synthetic_frozen() -> TrainConfig:
    """Baseline: the same pairs and steps, only the head learns.

    `dina-lrm train synthetic-frozen --data synthetic --out runs/frozen`

    Expected: twice as fast as `synthetic`, and several points below it.
    """
    return replace(synthetic(), name="synthetic-frozen", adaptation=AdaptationSettings(kind="frozen"))


def synthetic_random() -> TrainConfig:
    """Baseline: the same pairs, steps and LoRA on a backbone of random weights, without generative pretraining.

    `dina-lrm train synthetic-random --data synthetic --out runs/random`

    Expected: as fast as `synthetic`, and far below it.
    """
    adaptation = replace(synthetic().adaptation, random_backbone=True)
    return replace(synthetic(), name="synthetic-random", adaptation=adaptation)
