"""The paper's tables and figures in miniature: which variants they show, and which claim each pair of them decides.

An ablation is a table of variants with the paper's claims about them; a new one is a row of `ABLATIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dina_lrm.experiments.ablations.variants import ENSEMBLE, MIRRORED, PIXELS, TWO_DRAWS, UNET_ENSEMBLE, UNET_LEVEL
from dina_lrm.typed import DinaError

Column = Literal["in_domain", "unseen_compositions", "unseen_defects", "generated", "mean"]


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
    calibration: bool = False
    """Whether it is about expected calibration error in domain, where less is better, and not about accuracy."""


@dataclass(frozen=True)
class Ablation:
    """A table or figure: what it reproduces, its lines, and the claims that it decides."""

    title: str
    about: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    sweep: bool = False
    """Whether accuracy over noise levels is drawn, beside the table."""
    uncertain: str | None = None
    """The variant whose uncertainty over noise draws is shown, in place of rows (Table 4)."""

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that are shown or compared, each once, in order."""
        compared = (row for claim in self.claims for row in (claim.better, claim.worse))
        names = [row.variant for row in (*self.rows, *compared)]
        return tuple(dict.fromkeys(names if self.uncertain is None else [*names, self.uncertain]))


_TABLE_2: Final = ("uniform-fixed", "uniform", "logit-normal-high", "logit-normal-low", "base")

ABLATIONS: Final[dict[str, Ablation]] = {
    "judges": Ablation(
        "Table 1: judges",
        "Latent reward models beside judges of pixels that learned from the same pairs for as many steps.",
        (
            Row("base"),
            Row("base", ENSEMBLE),
            Row("bradley-terry"),
            Row("lrm"),
            Row("unet-lrm", UNET_LEVEL),
            Row("pixel-cnn", PIXELS),
            Row("pixel-clip", PIXELS),
        ),
        (
            Claim("The latent reward model is ahead of LRM on a U-Net.", Row("base"), Row("unet-lrm", UNET_LEVEL)),
            Claim(
                "The latent reward model is ahead of a CLIP trained on pixels.", Row("base"), Row("pixel-clip", PIXELS)
            ),
            Claim("The ensemble is ahead of one level.", Row("base", ENSEMBLE), Row("base")),
        ),
    ),
    "adaptation": Ablation(
        "Table 3: adapting the backbone",
        "The same pairs and steps with the backbone frozen, adapted by LoRA, trained whole, and with random weights.",
        (Row("frozen"), Row("base"), Row("full"), Row("random"), Row("lrm-frozen"), Row("lrm")),
        (
            Claim("LoRA is ahead of a frozen backbone.", Row("base"), Row("frozen")),
            Claim(
                "A frozen backbone remains competitive: it is ahead of an adapted random one.",
                Row("frozen"),
                Row("random"),
            ),
        ),
    ),
    "families": Ablation(
        "Backbones and heads",
        "The paper's head and LRM's, each on the transformer (rectified flow) and on the U-Net (variance preserving); "
        "t = 0.06 of the U-Net is as much noise as t = 0.2 of the flow.",
        (
            Row("base"),
            Row("base", ENSEMBLE),
            Row("lrm"),
            Row("lrm", ENSEMBLE),
            Row("unet", UNET_LEVEL),
            Row("unet", UNET_ENSEMBLE),
            Row("unet-lrm", UNET_LEVEL),
            Row("unet-lrm", UNET_ENSEMBLE),
            Row("unet-random", UNET_LEVEL),
        ),
        (
            Claim("On the transformer, the paper's head and objective are ahead of LRM's.", Row("base"), Row("lrm")),
            Claim("So they are on the U-Net.", Row("unet", UNET_LEVEL), Row("unet-lrm", UNET_LEVEL)),
            Claim("The transformer is ahead of the U-Net.", Row("base"), Row("unet", UNET_LEVEL)),
            Claim("The U-Net's generative pretraining helps.", Row("unet", UNET_LEVEL), Row("unet-random", UNET_LEVEL)),
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
    "uncertainty": Ablation(
        "Table 4: uncertainty of noise draws",
        "How much a decision depends on the noise that was drawn: ten draws, common to both images or one each.",
        (),
        uncertain="base",
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
        "Changes at equal cost of training and scoring; five votes cost five times the annotation, and a teacher has "
        "to be there. Two draws of noise, like an ensemble of two levels, cost two passes of scoring.",
        (
            Row("base"),
            Row("nll"),
            Row("bradley-terry"),
            Row("votes-5"),
            Row("distilled"),
            Row("two-levels"),
            Row("two-levels", ENSEMBLE),
            Row("base", ENSEMBLE),
            Row("base", TWO_DRAWS),
            Row("base", MIRRORED),
            Row("best"),
            Row("best", ENSEMBLE),
        ),
        (
            Claim(
                "A head trained on two levels at once is better at ensembles.",
                Row("two-levels", ENSEMBLE),
                Row("base", ENSEMBLE),
            ),
            Claim("Distillation beside the labels helps.", Row("distilled"), Row("base")),
            Claim("Soft labels of five votes help.", Row("votes-5"), Row("base")),
            Claim(
                "A mirrored draw of noise is better than a second draw.", Row("base", MIRRORED), Row("base", TWO_DRAWS)
            ),
            Claim("The negative log-likelihood is better calibrated.", Row("nll"), Row("base"), calibration=True),
            Claim("Distillation is better calibrated.", Row("distilled"), Row("base"), calibration=True),
            Claim("The recipe of the winners is better calibrated.", Row("best"), Row("base"), calibration=True),
            Claim("The recipe of the winners is ahead of the paper's.", Row("best"), Row("base")),
        ),
    ),
}
"""Tables and figures by name."""


def ablation(name: str) -> Ablation:
    """The ablation of that name; raises ValueError naming those there are."""
    if name not in ABLATIONS:
        raise DinaError(f"ablation {name!r}; accepted: {', '.join(ABLATIONS)}, or all of them as 'all'")
    return ABLATIONS[name]


def variants_of(names: tuple[str, ...]) -> list[str]:
    """The variants that these ablations show or compare, each once, in order."""
    return list(dict.fromkeys(variant for name in names for variant in ablation(name).variants))
