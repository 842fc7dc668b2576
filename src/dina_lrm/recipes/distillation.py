"""Runs of on-policy distillation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig, DistillSettings
from dina_lrm.recipes.bundled_alignment import LOOKS, REWARDS, UNCURATED
from dina_lrm.recipes.full_size_alignment import distill_sd35m
from dina_lrm.recipes.own_alignment import own_best, own_distill


def distill_synthetic() -> DistillConfig:
    """Distillation of the bundled uncurated generator under guidance of the bundled reward model, ten steps.

    `dina-lrm align distill synthetic --prompts synthetic --out runs/distill`
    """
    return DistillConfig(
        name="synthetic",
        steps=40,
        batch_size=16,
        micro_batch=16,
        generator=UNCURATED,
        rewards=REWARDS,
        distill=DistillSettings(),
        lr=1e-3,
        ema_every=1,
        looks=LOOKS,
        checkpoint_every=10,
    )


def distill_best() -> DistillConfig:
    """The winner of the alignment study at equal compute: guidance and reward are distilled at once.

    `dina-lrm align best synthetic --prompts synthetic --out runs/best`

    The bundled generator is sampled without guidance; its teacher has guidance, and goes up the reward. Seven steps of
    sampling while it learns, ten where it is looked at: with as many FLOPs it so learns from more pictures.
    What each part gains by itself is in docs/results/alignment.md.
    """
    config = distill_synthetic()
    return replace(
        config,
        name="best",
        steps=13,
        generator=replace(config.generator, sampling_steps=7),
        distill=replace(config.distill, guidance=3.0),
        lr=4e-3,
        ema_decay=0.0,
        looks=replace(config.looks, every=2, sampling_steps=10),
    )


DISTILL_RECIPES: Final[dict[str, Callable[[], DistillConfig]]] = {
    "own": own_distill,
    "synthetic": distill_synthetic,
    "paper-sd35m": distill_sd35m,
}
"""Runs of on-policy distillation by name."""
BEST_RECIPES: Final[dict[str, Callable[[], DistillConfig]]] = {"own": own_best, "synthetic": distill_best}
"""Runs of the objective that gained most at equal compute, by name."""
