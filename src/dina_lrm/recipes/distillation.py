"""Runs of on-policy distillation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig, DistillSettings
from dina_lrm.recipes.bundled_alignment import LOOKS, REWARDS, UNCURATED
from dina_lrm.recipes.own_alignment import own_distill


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


DISTILL_RECIPES: Final[dict[str, Callable[[], DistillConfig]]] = {"own": own_distill, "synthetic": distill_synthetic}
"""Runs of on-policy distillation by name."""
