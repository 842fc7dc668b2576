"""Runs of all objectives with as many FLOPs as the shipped ReFL recipe has, or looks on the way there."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.experiments.alignment.variant import AlignmentVariant, looked_at
from dina_lrm.recipes.alignment import grpo_synthetic, lpo_synthetic, refl_synthetic
from dina_lrm.recipes.distillation import distill_best
from dina_lrm.recipes.forward_alignment import (
    awm_synthetic,
    craft_synthetic,
    crd_synthetic,
    dgpo_synthetic,
    nft_synthetic,
)
from dina_lrm.sampling.reward_term import RewardTerm

_TRUTH: Final = (RewardTerm("python:dina_lrm.synthetic.truth_reward.true_utility"),)
"""The truth of the synthetic world as a reward, which no real world has."""


def _refl_kl() -> ReflConfig:
    config = looked_at(refl_synthetic())
    return replace(config, refl=replace(config.refl, kl_weight=3.0))


def _drtune() -> ReflConfig:
    config = looked_at(replace(refl_synthetic(), steps=19), every=4)
    return replace(config, refl=replace(config.refl, through="drtune", through_steps=4, kl_weight=6.0))


def _prfl() -> ReflConfig:
    config = _refl_kl()
    return replace(config, refl=replace(config.refl, through="prfl", first=4, last=8))


def _distill() -> DistillConfig:
    """Without classifier-free guidance, which leaves FLOPs for three more updates."""
    config = _best()
    return replace(config, steps=config.steps + 3, distill=replace(config.distill, guidance=1.0))


def _guidance() -> DistillConfig:
    """Without a reward, which leaves FLOPs for five more updates; it is still named, as what is looked at."""
    config = _best()
    return replace(config, steps=config.steps + 5, distill=replace(config.distill, scale=0.0))


def _best() -> DistillConfig:
    """Return the run of `dina-lrm align best`."""
    return looked_at(distill_best(), every=3)


def _nft() -> NftConfig:
    return looked_at(replace(nft_synthetic(), steps=7), every=1)


def _awm() -> AwmConfig:
    return looked_at(replace(awm_synthetic(), steps=7), every=1)


def _crd() -> CrdConfig:
    return looked_at(replace(crd_synthetic(), steps=6), every=1)


def _dgpo() -> DgpoConfig:
    return looked_at(replace(dgpo_synthetic(), steps=6), every=1)


def _craft() -> CraftConfig:
    """Half of the recipe's prompts, whose drawing takes three quarters of the FLOPs."""
    config = looked_at(replace(craft_synthetic(), steps=14), every=3)
    return replace(config, craft=replace(config.craft, prompts=128))


def _grpo_dense() -> GrpoConfig:
    config = looked_at(replace(grpo_synthetic(), steps=20))
    dense = replace(config.grpo.dense, reading="noisy")
    return replace(config, grpo=replace(config.grpo, credit="dense", dense=dense))


def _grpo_dense_kl() -> GrpoConfig:
    """With a KL, whose pass of the base model scores the states as well."""
    config = _grpo_dense()
    return replace(config, grpo=replace(config.grpo, kl_weight=0.3))


def _grpo_look_ahead() -> GrpoConfig:
    config = _grpo_dense()
    return replace(config, grpo=replace(config.grpo, dense=replace(config.grpo.dense, reading="look-ahead")))


def _step_groups() -> LpoConfig:
    config = looked_at(replace(lpo_synthetic(), steps=8), every=2)
    return replace(config, lpo=replace(config.lpo, loss="group"))


def _nft_truth() -> NftConfig:
    return replace(_nft(), rewards=_TRUTH)


def _grpo_truth() -> GrpoConfig:
    return replace(looked_at(replace(grpo_synthetic(), steps=20)), rewards=_TRUTH)


OBJECTIVE_VARIANTS: Final[dict[str, AlignmentVariant]] = {
    "refl-kl3": AlignmentVariant("ReFL, KL weight 3", _refl_kl),
    "drtune": AlignmentVariant("DRTune, four steps", _drtune),
    "prfl": AlignmentVariant("PRFL", _prfl),
    "distill": AlignmentVariant("distillation, reward alone", _distill),
    "distill-guidance": AlignmentVariant("distillation, guidance alone", _guidance),
    "best": AlignmentVariant("align best: guidance and reward", _best),
    "nft": AlignmentVariant("DiffusionNFT", _nft),
    "awm": AlignmentVariant("AWM", _awm),
    "crd": AlignmentVariant("CRD", _crd),
    "dgpo": AlignmentVariant("DGPO", _dgpo),
    "craft": AlignmentVariant("CRAFT", _craft),
    "grpo-dense": AlignmentVariant("Flow-GRPO-Fast, dense: noisy states", _grpo_dense),
    "grpo-dense-kl": AlignmentVariant("Flow-GRPO-Fast, dense: noisy states, KL", _grpo_dense_kl),
    "grpo-look-ahead": AlignmentVariant("Flow-GRPO-Fast, dense: look-ahead", _grpo_look_ahead),
    "step-groups": AlignmentVariant("Step-GRPO", _step_groups),
    "nft-truth": AlignmentVariant("DiffusionNFT, the truth as reward", _nft_truth),
    "grpo-truth": AlignmentVariant("Flow-GRPO-Fast, the truth as reward", _grpo_truth),
}
"""By name."""
