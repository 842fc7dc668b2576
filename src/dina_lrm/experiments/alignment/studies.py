"""The alignment study: every run, and which findings each pair of them decides.

All runs start from `synthetic-uncurated`, the bundled generator as it would be had it learned from pictures of which
most are damaged: there a reward has something to mend. A new run is a row of `ALIGNMENT_VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.recipes.alignment import dpo_synthetic, grpo_synthetic, lpo_synthetic, refl_synthetic
from dina_lrm.recipes.forward_alignment import awm_synthetic, nft_synthetic
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.typed import DinaError

_WINDOW: Final = 5
"""Looks that the alarm takes its trends over."""


@dataclass(frozen=True)
class AlignmentVariant:
    """A run: its name in tables, and its configuration with the seed 0."""

    label: str
    config: Callable[[], AlignConfig]


@dataclass(frozen=True)
class AlignmentClaim:
    """A finding: the true utility rises by `better`, or by more than by `worse`."""

    text: str
    better: str
    worse: str | None = None


@dataclass(frozen=True)
class AlignmentStudy:
    """A figure: what it shows, its runs, the findings that it decides, and whose pictures are shown."""

    title: str
    about: str
    variants: tuple[str, ...]
    claims: tuple[AlignmentClaim, ...] = ()
    pictures: tuple[str, ...] = ()
    over_compute: bool = False
    """Whether true utility is drawn over FLOPs too."""


def _refl() -> ReflConfig:
    """At a low rate, with no remedy but the moving average."""
    config = refl_synthetic()
    return replace(
        config,
        steps=30,
        batch_size=32,
        micro_batch=32,
        lr=3e-4,
        refl=replace(config.refl, kl_weight=0.0),
        looks=replace(config.looks, window=_WINDOW),
    )


def _recipe() -> ReflConfig:
    """Return the run of `dina-lrm align refl synthetic`."""
    config = refl_synthetic()
    return replace(config, looks=replace(config.looks, window=_WINDOW))


def _refl_pixels() -> ReflConfig:
    config = _refl()
    looks = replace(config.looks, golden="image:synthetic")
    return replace(config, rewards=(RewardTerm("cnn"),), looks=looks)


def _grpo() -> GrpoConfig:
    config = grpo_synthetic()
    return replace(config, steps=20, looks=replace(config.looks, window=_WINDOW))


def _lpo() -> LpoConfig:
    config = lpo_synthetic()
    return replace(config, looks=replace(config.looks, every=5, window=_WINDOW))


def _lpo_late() -> LpoConfig:
    """Return a run of as many FLOPs as LPO."""
    config = _lpo()
    return replace(config, steps=27, lpo=replace(config.lpo, highest=0.75))


def _dpo() -> DpoConfig:
    """Return a run of as many FLOPs as LPO, the drawing of the pairs included."""
    config = dpo_synthetic()
    return replace(config, steps=75, looks=replace(config.looks, every=15, window=_WINDOW))


def _nft() -> NftConfig:
    config = nft_synthetic()
    return replace(config, looks=replace(config.looks, window=_WINDOW))


def _awm() -> AwmConfig:
    config = awm_synthetic()
    return replace(config, looks=replace(config.looks, window=_WINDOW))


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


ALIGNMENT_VARIANTS: Final[dict[str, AlignmentVariant]] = {
    "refl": AlignmentVariant("ReFL, latent reward", _refl),
    "refl-pixels": AlignmentVariant("ReFL, pixel reward", _refl_pixels),
    "recipe": AlignmentVariant("ReFL, shipped recipe", _recipe),
    "grpo-fast": AlignmentVariant("Flow-GRPO-Fast", _grpo),
    "lpo": AlignmentVariant("LPO, all noise levels", _lpo),
    "lpo-late": AlignmentVariant("step-level DPO, t up to 0.75", _lpo_late),
    "dpo": AlignmentVariant("offline DPO", _dpo),
    "nft": AlignmentVariant("DiffusionNFT", _nft),
    "awm": AlignmentVariant("AWM", _awm),
    "hacked": AlignmentVariant("no remedy", _hacked),
    "pretraining": AlignmentVariant("pretraining loss", _with_pretraining),
    "kl": AlignmentVariant("KL to the base", _with_kl),
    "average": AlignmentVariant("moving average", _with_average),
    "half-lora": AlignmentVariant("half of the LoRA", _with_half_lora),
    "penalty": AlignmentVariant("penalty on fine texture", _with_penalty),
}
"""Runs of the study by name."""
LAST_FIRST_SEED: Final = 2
"""Seeds beyond it were added later, and the alarm's settings were chosen before."""
_REMEDIES: Final = ("pretraining", "kl", "average", "half-lora", "penalty")

ALIGNMENT_STUDIES: Final[dict[str, AlignmentStudy]] = {
    "rewards": AlignmentStudy(
        "Figure 3: latent and pixel reward",
        "ReFL for as many updates with the bundled latent reward, whose golden judge is a network of pixels that "
        "learned from other prompts, and with that network, whose golden judge is the latent reward; beside them the "
        "shipped recipe (`align refl synthetic`), three times the rate with a KL to the base. The network is small, so "
        "that here pixels cost no more FLOPs; what both kinds cost in memory and FLOPs beside a judge of usual size, "
        "and at full size (Figure 4), is on the page of [costs](../cost.md#latent-or-pixel-reward).",
        ("refl", "refl-pixels", "recipe"),
        (
            AlignmentClaim("ReFL with the latent reward raises the true utility.", "refl"),
            AlignmentClaim("ReFL with the pixel reward does.", "refl-pixels"),
            AlignmentClaim("The latent reward is ahead of the pixel reward.", "refl", "refl-pixels"),
            AlignmentClaim("The shipped recipe raises the true utility.", "recipe"),
        ),
        ("recipe", "refl", "refl-pixels"),
        over_compute=True,
    ),
    "algorithms": AlignmentStudy(
        "Figure 5: Flow-GRPO-Fast",
        "Policy optimisation needs no gradient of the reward; the first steps of sampling are stochastic and learn.",
        ("grpo-fast", "refl"),
        (AlignmentClaim("Flow-GRPO-Fast raises the true utility.", "grpo-fast"),),
        ("grpo-fast",),
        over_compute=True,
    ),
    "preferences": AlignmentStudy(
        "LPO beside step-level DPO and offline DPO",
        "Preferences between candidates of one step at all noise levels (LPO), at t up to 0.75 as earlier step-level "
        "methods, and between finished samples that were ranked once.",
        ("lpo", "lpo-late", "dpo"),
        (
            AlignmentClaim("LPO raises the true utility.", "lpo"),
            AlignmentClaim("It is ahead of step-level DPO that stops at 0.75.", "lpo", "lpo-late"),
            AlignmentClaim("It is ahead of offline DPO.", "lpo", "dpo"),
        ),
        ("lpo", "lpo-late", "dpo"),
        over_compute=True,
    ),
    "objectives": AlignmentStudy(
        "Objectives of the forward process",
        "Groups of finished samples are scored, noised again, and matched or pushed away: neither a gradient of the "
        "reward nor a likelihood of the sampler is needed.",
        ("nft", "awm"),
        (
            AlignmentClaim("DiffusionNFT raises the true utility.", "nft"),
            AlignmentClaim("AWM raises the true utility.", "awm"),
        ),
        ("nft", "awm"),
        over_compute=True,
    ),
    "hacking": AlignmentStudy(
        "Appendix D: reward hacking and its remedies",
        "ReFL pushed too far on purpose, at a high rate and without a moving average, and the same run with one remedy "
        "each, at one strength that was not tuned. Golden judge and reward learned from comparisons of one world, and "
        "what fools the one may fool the other: the golden judge rises to the end, while the true utility falls. What "
        "gives the hacking away without the truth is that it rises ever less with the reward. The alarm's settings for "
        "that were chosen on the seeds 0 to 2.",
        ("hacked", *_REMEDIES),
        tuple(
            AlignmentClaim(f"It ends better with this remedy: {ALIGNMENT_VARIANTS[name].label}.", name, "hacked")
            for name in _REMEDIES
        ),
        ("hacked", *_REMEDIES),
    ),
}
"""Studies by name."""


def alignment_study(name: str) -> AlignmentStudy:
    """A study by name. Raises ValueError naming those there are."""
    if name not in ALIGNMENT_STUDIES:
        raise DinaError(f"study {name!r}; accepted: {', '.join(ALIGNMENT_STUDIES)}, all")
    return ALIGNMENT_STUDIES[name]


def variants_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """The runs of some studies, each once, in order."""
    return tuple(dict.fromkeys(variant for name in names for variant in alignment_study(name).variants))
