"""Every model of the ablations: what it is called, how it is trained, and at which noise levels it is read.

Variants are trained once, however many tables show them. A new variant is a row of `VARIANTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from dina_lrm.preference.distributions import Constant, LogitNormal, Uniform
from dina_lrm.recipes.synthetic import synthetic, synthetic_best, synthetic_frozen, synthetic_random
from dina_lrm.recipes.synthetic_lrm import synthetic_lrm, synthetic_unet, synthetic_unet_lrm
from dina_lrm.training.config import (
    AdaptationSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceName,
    PreferenceSettings,
    TeacherSettings,
    TrainConfig,
)

STEPS: Final = 600
"""Training steps of every variant: those of the demonstration."""
PROMPTS: Final = 2_000
"""Training prompts of every variant, eight pictures each."""
ENSEMBLE: Final = "0.1+0.2+0.4"
"""The reading of the noise levels of the recipe `synthetic` together."""
UNET_LEVEL: Final = "0.06"
UNET_ENSEMBLE: Final = "0.02+0.06+0.24"
"""The same noise in the variance-preserving process of the U-Net."""
PAIRS: Final = 1_200
"""Pairs of each test set: three pictures for each of 400 prompts."""
SWEEP: Final = (0.0, 0.1, 0.2, 0.4, 0.6, 0.7, 0.8)
"""Noise levels at which variants are read that differ in the noise they were trained with."""
TWO_DRAWS: Final = "0.2 x 2"
"""The reading of the mean score of two draws of noise at t = 0.2."""
MIRRORED: Final = "0.2 mirrored"
"""The same cost: one draw and the same with its sign changed."""
READING_NAMES: Final = {TWO_DRAWS: "0.2, two draws", MIRRORED: "0.2, a draw and its mirror image"}
"""How readings are called where people read them."""
UNCERTAINTY_LEVELS: Final = (0.01, 0.2, 0.4, 0.6, 0.8)
"""Noise levels of the paper's Table 4."""
UNCERTAINTY_DRAWS: Final = 10
UNCERTAINTY_PAIRS: Final = 600
"""Pairs in domain that Table 4 is measured on."""

PIXELS: Final = "pixels"
"""The reading of a judge that looks at pictures."""

Judge = Literal["latent", "cnn", "clip"]


@dataclass(frozen=True)
class Variant:
    """A model that is trained and measured: its name in tables, its run, and who judged its training pairs."""

    label: str
    config: Callable[[], TrainConfig]
    votes: int = 1
    """Annotators of each training pair; their share is a soft label."""
    judge: Judge = "latent"
    sweep: bool = False
    """Whether it is read at many noise levels."""
    draws: bool = False
    """Whether it is read with several draws of noise too."""
    step_share: float = 1.0
    """Share of the budget's steps, for variants whose steps cost more."""

    @property
    def generator(self) -> str:
        """The bundled generator whose backbone it has, which encodes pictures and prompts too."""
        return self.config().model.backbone.pretrained

    @property
    def levels(self) -> tuple[float, ...]:
        """Noise levels at which it is read."""
        return SWEEP if self.sweep else self.config().model.ensemble_levels


def _with(
    preference: PreferenceSettings | PreferenceName = "paper", noise: NoiseLevelSettings | None = None
) -> Callable[[], TrainConfig]:
    settings = PreferenceSettings(preference) if isinstance(preference, str) else preference

    def make() -> TrainConfig:
        base = synthetic()
        return replace(base, objective=ObjectiveSettings(settings, noise or base.objective.noise_levels))

    return make


def _constant(level: float) -> Callable[[], TrainConfig]:
    return _with("fixed", NoiseLevelSettings(Constant(level)))


def _depth(depth: int, taps: tuple[int, ...], text_taps: tuple[int, ...] | None = None) -> Callable[[], TrainConfig]:
    def make() -> TrainConfig:
        base = synthetic()
        chosen = taps if text_taps is None else text_taps
        backbone = replace(base.model.backbone, depth=depth, visual_taps=taps, text_taps=chosen)
        return replace(base, model=replace(base.model, backbone=backbone))

    return make


def _without_text() -> TrainConfig:
    base = synthetic()
    head = replace(base.model.head, use_text=False)
    backbone = replace(base.model.backbone, text_taps=())
    return replace(base, model=replace(base.model, backbone=backbone, head=head))


def _full() -> TrainConfig:
    # Pretrained weights themselves are moved more gently than LoRA
    base = synthetic()
    rates = OptimizerSettings(lr=base.optimizer.lr / 3, head_lr=base.optimizer.lr)
    return replace(base, adaptation=AdaptationSettings(kind="full"), optimizer=rates)


def _frozen(recipe: Callable[[], TrainConfig]) -> Callable[[], TrainConfig]:
    return lambda: replace(recipe(), adaptation=AdaptationSettings(kind="frozen"))


def _random(recipe: Callable[[], TrainConfig]) -> Callable[[], TrainConfig]:
    def make() -> TrainConfig:
        base = recipe()
        return replace(base, adaptation=replace(base.adaptation, random_backbone=True))

    return make


def _distilled() -> TrainConfig:
    base = synthetic()
    return replace(base, objective=replace(base.objective, teacher=TeacherSettings("synthetic", weight=0.5)))


UNIFORM: Final = NoiseLevelSettings(Uniform(0.0, 1.0))

VARIANTS: Final[dict[str, Variant]] = {
    "base": Variant("LoRA, t uniform in [0, 0.5], noise-calibrated", synthetic, sweep=True, draws=True),
    "frozen": Variant("frozen backbone", synthetic_frozen),
    "full": Variant("all weights trained", _full),
    "random": Variant("random backbone, LoRA", synthetic_random),
    "constant-0": Variant("constant t = 0, fixed variance", _constant(0.0), sweep=True),
    "constant-0.2": Variant("constant t = 0.2, fixed variance", _constant(0.2), sweep=True),
    "constant-0.7": Variant("constant t = 0.7, fixed variance", _constant(0.7), sweep=True),
    "uniform-fixed": Variant("t uniform in [0, 1], fixed variance", _with("fixed", UNIFORM), sweep=True),
    "uniform": Variant("t uniform in [0, 1], noise-calibrated", _with("paper", UNIFORM), sweep=True),
    "logit-normal-high": Variant(
        "t logit-normal(0.8, 1), noise-calibrated",
        _with("paper", NoiseLevelSettings(LogitNormal(mu=0.8, s=1.0))),
        sweep=True,
    ),
    "logit-normal-low": Variant(
        "t logit-normal(-0.8, 1), noise-calibrated",
        _with("paper", NoiseLevelSettings(LogitNormal(mu=-0.8, s=1.0))),
        sweep=True,
    ),
    "bradley-terry": Variant("Bradley-Terry on the same head", _with("bradley-terry")),
    "depth-2": Variant("2 blocks", _depth(2, (1, 2))),
    "depth-4": Variant("4 blocks", _depth(4, (1, 2, 4))),
    "depth-6": Variant("6 blocks", _depth(6, (2, 4, 6))),
    "one-tap": Variant("one tap, after the last block", _depth(8, (8,), (7,))),
    "no-text": Variant("no text taps", _without_text),
    "nll": Variant("negative log-likelihood", _with(PreferenceSettings("paper", loss="nll"))),
    "votes-5": Variant("five votes a pair, soft labels", synthetic, votes=5),
    "two-levels": Variant(
        "trained as an ensemble of two levels, half as many steps",
        _with("paper", NoiseLevelSettings(Uniform(0.0, 0.5), together=2)),
        step_share=0.5,
    ),
    "distilled": Variant("labels half from the bundled model", _distilled),
    "best": Variant("the recipe synthetic-best: labels half from the bundled model, NLL", synthetic_best),
    "lrm": Variant("LRM on the transformer, LoRA", synthetic_lrm),
    "lrm-frozen": Variant("LRM on the transformer, frozen", _frozen(synthetic_lrm)),
    "unet": Variant("U-Net, LoRA, t uniform in [0, 0.35], noise-calibrated", synthetic_unet),
    "unet-random": Variant("random U-Net, LoRA", _random(synthetic_unet)),
    "unet-lrm": Variant("LRM on the U-Net, LoRA", synthetic_unet_lrm),
    "pixel-cnn": Variant("convolutional network on pixels, from nothing", synthetic, judge="cnn"),
    "pixel-clip": Variant("CLIP on pixels, from nothing", synthetic, judge="clip"),
}
"""Every model that is trained, by name."""
