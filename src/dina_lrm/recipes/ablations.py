"""The paper's tables and figures in miniature: which models are trained, and which claim each pair of them decides.

A variant is one model on the synthetic world; an ablation is a table of variants with the paper's claims about them.
Variants are trained once, however many ablations show them. A new variant is a row of `VARIANTS`, a new table a row of
`ABLATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from dina_lrm.recipes.synthetic import synthetic, synthetic_frozen, synthetic_random
from dina_lrm.training.config import (
    AdaptationSettings,
    NoiseLevelSettings,
    ObjectiveSettings,
    OptimizerSettings,
    PreferenceName,
    PreferenceSettings,
    TrainConfig,
)

STEPS: Final = 600
"""Training steps of every variant: those of the demonstration."""
PROMPTS: Final = 2_000
"""Training prompts of every variant, eight pictures each."""
ENSEMBLE: Final = "0.1+0.2+0.4"
PAIRS: Final = 1_200
"""Pairs of each test set: three pictures for each of 400 prompts."""
LEVELS: Final = (0.1, 0.2, 0.4)
"""Noise levels at which every variant is read."""
SWEEP: Final = (0.0, 0.1, 0.2, 0.4, 0.6, 0.7, 0.8)
"""Noise levels at which variants are read that differ in the noise they were trained with."""
ENSEMBLES: Final = ((0.1, 0.2, 0.4),)

PIXELS: Final = "pixels"
"""The reading of a judge that looks at pictures."""

Judge = Literal["latent", "cnn", "clip"]
Column = Literal["in_domain", "unseen_compositions", "unseen_defects", "generated", "mean"]


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


@dataclass(frozen=True)
class Row:
    """A line of a table: a variant at a reading, such as "0.2" or "0.1+0.2+0.4"."""

    variant: str
    reading: str = "0.2"


@dataclass(frozen=True)
class Claim:
    """A finding of the paper: `better` is ahead of `worse` in `column`."""

    text: str
    better: Row
    worse: Row
    column: Column = "mean"


@dataclass(frozen=True)
class Ablation:
    """A table or figure: what it reproduces, its lines, and the claims that it decides."""

    title: str
    about: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    sweep: bool = False
    """Whether accuracy over noise levels is drawn, beside the table."""


def _with(
    preference: PreferenceSettings | PreferenceName = "paper", noise: NoiseLevelSettings | None = None
) -> Callable[[], TrainConfig]:
    settings = PreferenceSettings(preference) if isinstance(preference, str) else preference

    def make() -> TrainConfig:
        base = synthetic()
        return replace(base, objective=ObjectiveSettings(settings, noise or base.objective.noise_levels))

    return make


def _constant(level: float) -> Callable[[], TrainConfig]:
    return _with("fixed", NoiseLevelSettings("constant", level=level))


def _depth(depth: int, taps: tuple[int, ...], text_taps: tuple[int, ...] | None = None) -> Callable[[], TrainConfig]:
    def make() -> TrainConfig:
        base = synthetic()
        chosen = taps if text_taps is None else text_taps
        return replace(base, model=replace(base.model, depth=depth, visual_taps=taps, text_taps=chosen))

    return make


def _without_text() -> TrainConfig:
    base = synthetic()
    head = replace(base.model.head, use_text=False)
    return replace(base, model=replace(base.model, text_taps=(), head=head))


def _full() -> TrainConfig:
    # Pretrained weights themselves are moved more gently than LoRA
    base = synthetic()
    rates = OptimizerSettings(lr=base.optimizer.lr / 3, head_lr=base.optimizer.lr)
    return replace(base, adaptation=AdaptationSettings(kind="full"), optimizer=rates)


UNIFORM: Final = NoiseLevelSettings("uniform", low=0.0, high=1.0)

VARIANTS: Final[dict[str, Variant]] = {
    "base": Variant("LoRA, t uniform in [0, 0.5], noise-calibrated", synthetic, sweep=True),
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
        _with("paper", NoiseLevelSettings("logit_normal", mu=0.8, s=1.0)),
        sweep=True,
    ),
    "logit-normal-low": Variant(
        "t logit-normal(-0.8, 1), noise-calibrated",
        _with("paper", NoiseLevelSettings("logit_normal", mu=-0.8, s=1.0)),
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
    "votes-5-nll": Variant(
        "five votes a pair, soft labels, negative log-likelihood",
        _with(PreferenceSettings("paper", loss="nll")),
        votes=5,
    ),
    "pixel-cnn": Variant("convolutional network on pixels, from nothing", synthetic, judge="cnn"),
    "pixel-clip": Variant("CLIP on pixels, from nothing", synthetic, judge="clip"),
    "wide-floor": Variant("variance floor 0.18", _with(PreferenceSettings("thurstone", k=2.0, variance_floor=0.18))),
}
"""Every model that is trained, by name."""

_TABLE_2: Final = ("uniform-fixed", "uniform", "logit-normal-high", "logit-normal-low", "base")

ABLATIONS: Final[dict[str, Ablation]] = {
    "judges": Ablation(
        "Table 1: judges",
        "Latent reward models beside judges of pixels that learned from the same pairs for as many steps.",
        (
            Row("base"),
            Row("base", ENSEMBLE),
            Row("bradley-terry"),
            Row("pixel-cnn", PIXELS),
            Row("pixel-clip", PIXELS),
        ),
        (
            Claim(
                "The latent reward model is ahead of a CLIP trained on pixels.", Row("base"), Row("pixel-clip", PIXELS)
            ),
            Claim("The ensemble is ahead of one level.", Row("base", ENSEMBLE), Row("base")),
        ),
    ),
    "adaptation": Ablation(
        "Table 3: adapting the backbone",
        "The same pairs and steps with the backbone frozen, adapted by LoRA, trained whole, and with random weights.",
        (Row("frozen"), Row("base"), Row("full"), Row("random")),
        (
            Claim("LoRA is ahead of a frozen backbone.", Row("base"), Row("frozen")),
            Claim(
                "A frozen backbone remains competitive: it is ahead of an adapted random one.",
                Row("frozen"),
                Row("random"),
            ),
        ),
    ),
    "noise": Ablation(
        "Table 2: noise levels of training, variance, ensemble",
        "Constant noise levels are read at their own level, all others at t = 0.2; + is the ensemble 0.1 + 0.2 + 0.4.",
        (
            Row("constant-0", "0"),
            Row("constant-0.2"),
            Row("constant-0.7", "0.7"),
            *(Row(name, reading) for name in _TABLE_2 for reading in ("0.2", ENSEMBLE)),
        ),
        (
            Claim("Uniform noise levels are ahead of a constant t = 0.", Row("uniform-fixed"), Row("constant-0", "0")),
            Claim("Uniform noise levels are ahead of a constant t = 0.2.", Row("uniform-fixed"), Row("constant-0.2")),
            Claim("Noise-calibrated variance is ahead of a fixed one.", Row("uniform"), Row("uniform-fixed")),
            Claim("It is so with an ensemble too.", Row("uniform", ENSEMBLE), Row("uniform-fixed", ENSEMBLE)),
            Claim("The ensemble is ahead of one level.", Row("uniform", ENSEMBLE), Row("uniform")),
            Claim("Uniform is ahead of logit-normal(0.8, 1).", Row("uniform"), Row("logit-normal-high")),
            Claim("Uniform is ahead of logit-normal(-0.8, 1).", Row("uniform"), Row("logit-normal-low")),
        ),
    ),
    "noise-level": Ablation(
        "Figure 2: noise level of scoring",
        "Accuracy over the noise level at which a model is read, for models trained at different noise levels.",
        tuple(
            Row(name, reading)
            for name in ("constant-0", "constant-0.7", "uniform-fixed", "uniform", "logit-normal-high", "base")
            for reading in ("0", "0.2", "0.4", "0.8")
        ),
        (
            Claim("Intermediate noise (t = 0.4) is ahead of none.", Row("uniform", "0.4"), Row("uniform", "0")),
            Claim(
                "Intermediate noise (t = 0.4) is ahead of much (t = 0.8).", Row("uniform", "0.4"), Row("uniform", "0.8")
            ),
        ),
        sweep=True,
    ),
    "depth": Ablation(
        "Table 5: depth",
        "Accuracy over the number of blocks; features are tapped three times, twice from two blocks.",
        (Row("depth-2"), Row("depth-4"), Row("depth-6"), Row("base")),
        (
            Claim("Four blocks are ahead of two.", Row("depth-4"), Row("depth-2")),
            Claim("Six blocks are ahead of four.", Row("depth-6"), Row("depth-4")),
            Claim("Eight blocks are ahead of six.", Row("base"), Row("depth-6")),
        ),
    ),
    "taps": Ablation(
        "Appendix C.1: taps",
        "With and without the text stream's features; one tap against three.",
        (Row("base"), Row("no-text"), Row("one-tap")),
        (
            Claim("Text features are critical.", Row("base"), Row("no-text")),
            Claim("Features of several levels are critical.", Row("base"), Row("one-tap")),
        ),
    ),
    "beyond": Ablation(
        "Beyond the paper",
        "Changes at equal cost of training and scoring; five votes a pair cost five times the annotation.",
        (Row("base"), Row("nll"), Row("votes-5"), Row("votes-5-nll"), Row("wide-floor"), Row("bradley-terry")),
    ),
}
"""Tables and figures by name."""


def ablation(name: str) -> Ablation:
    """The ablation of that name; raises ValueError naming those there are."""
    if name not in ABLATIONS:
        raise ValueError(f"ablation {name!r}; accepted: {', '.join(ABLATIONS)}, or all of them as 'all'")
    return ABLATIONS[name]


def variants_of(names: tuple[str, ...]) -> list[str]:
    """The variants that these ablations show or compare, each once, in order."""
    found: dict[str, None] = {}
    for name in names:
        chosen = ablation(name)
        for row in (*chosen.rows, *(row for claim in chosen.claims for row in (claim.better, claim.worse))):
            found[row.variant] = None
    return list(found)
