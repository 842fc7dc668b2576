"""Runs of the paper's figures, of LPO beside its rivals, and of reward hacking with and without its remedies."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.experiments.alignment.variant import AlignmentVariant, looked_at
from dina_lrm.recipes.alignment import dpo_synthetic, grpo_synthetic, lpo_synthetic, refl_synthetic
from dina_lrm.sampling.reward_term import RewardTerm


def _refl() -> ReflConfig:
    """At a low rate, with no remedy but the moving average."""
    config = looked_at(refl_synthetic())
    refl = replace(config.refl, kl_weight=0.0)
    return replace(config, steps=30, batch_size=32, micro_batch=32, lr=3e-4, refl=refl)


def _recipe() -> ReflConfig:
    """Return the run of `dina-lrm align refl synthetic`."""
    return looked_at(refl_synthetic())


def _refl_pixels() -> ReflConfig:
    config = _refl()
    looks = replace(config.looks, golden="image:synthetic")
    return replace(config, rewards=(RewardTerm("cnn"),), looks=looks)


def _grpo() -> GrpoConfig:
    return looked_at(replace(grpo_synthetic(), steps=20))


def _lpo() -> LpoConfig:
    return looked_at(lpo_synthetic(), every=5)


def _lpo_late() -> LpoConfig:
    """Return a run of as many FLOPs as LPO."""
    config = _lpo()
    return replace(config, steps=27, lpo=replace(config.lpo, highest=0.75))


def _dpo() -> DpoConfig:
    """Return a run of as many FLOPs as LPO, the drawing of the pairs included."""
    return looked_at(replace(dpo_synthetic(), steps=75), every=15)


def _hacked() -> ReflConfig:
    """Three times the rate, half the batch, and no moving average."""
    return replace(_refl(), steps=30, batch_size=16, micro_batch=16, lr=1e-3, ema_decay=0.0)


def _with_pretraining() -> ReflConfig:
    config = _hacked()
    return replace(config, refl=replace(config.refl, pretraining_weight=1.0))


def _with_kl() -> ReflConfig:
    config = _hacked()
    return replace(config, refl=replace(config.refl, kl_weight=1.0))


def _with_average() -> ReflConfig:
    return replace(_hacked(), ema_decay=0.95)


def _with_half_lora() -> ReflConfig:
    config = _hacked()
    return replace(config, looks=replace(config.looks, lora_scale=0.5))


def _with_penalty() -> ReflConfig:
    config = _hacked()
    return replace(config, rewards=(*config.rewards, RewardTerm("high-frequency", -0.5)))


FIRST_VARIANTS: Final[dict[str, AlignmentVariant]] = {
    "refl": AlignmentVariant("ReFL, latent reward", _refl),
    "refl-pixels": AlignmentVariant("ReFL, pixel reward", _refl_pixels),
    "recipe": AlignmentVariant("ReFL, shipped recipe", _recipe),
    "grpo-fast": AlignmentVariant("Flow-GRPO-Fast", _grpo),
    "lpo": AlignmentVariant("LPO, all noise levels", _lpo),
    "lpo-late": AlignmentVariant("step-level DPO, t up to 0.75", _lpo_late),
    "dpo": AlignmentVariant("offline DPO", _dpo),
    "hacked": AlignmentVariant("no remedy", _hacked),
    "pretraining": AlignmentVariant("pretraining loss", _with_pretraining),
    "kl": AlignmentVariant("KL to the base", _with_kl),
    "average": AlignmentVariant("moving average", _with_average),
    "half-lora": AlignmentVariant("half of the LoRA", _with_half_lora),
    "penalty": AlignmentVariant("penalty on fine texture", _with_penalty),
}
"""By name."""
