"""The alignment study: its figures, and which findings each pair of runs decides.

All runs start from `synthetic-uncurated`, the bundled generator as it would be had it learned from pictures of which
most are damaged: there a reward has something to mend. A new run is a row of a table of variants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dina_lrm.experiments.alignment.first_variants import FIRST_VARIANTS
from dina_lrm.experiments.alignment.objective_variants import OBJECTIVE_VARIANTS
from dina_lrm.experiments.alignment.variant import AlignmentVariant
from dina_lrm.typed import DinaError

ALIGNMENT_VARIANTS: Final[dict[str, AlignmentVariant]] = {**FIRST_VARIANTS, **OBJECTIVE_VARIANTS}
"""Runs of the study by name."""


@dataclass(frozen=True)
class AlignmentClaim:
    """A finding: the true utility rises by `better`, or by more than by `worse`."""

    text: str
    better: str
    worse: str | None = None
    at: str | None = None
    """The run whose FLOPs both are compared at; None = at their ends."""


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
    equal_compute: str | None = None
    """The run whose FLOPs all others are compared at, and with whose gain."""
    lines: tuple[str, ...] = ()
    """The runs whose curves are drawn, where all would be too many."""

    @property
    def drawn(self) -> tuple[str, ...]:
        """Return the runs whose curves are drawn."""
        return self.lines or self.variants


LAST_FIRST_SEED: Final = 2
"""Seeds beyond it were added later, and the alarm's settings were chosen before."""
_REMEDIES: Final = ("pretraining", "kl", "average", "half-lora", "penalty")


def _at_equal_compute(run: str, *claims: tuple[str, str, str | None]) -> tuple[AlignmentClaim, ...]:
    """Findings that are decided when so many FLOPs are spent as that run spends."""
    return tuple(AlignmentClaim(*claim, at=run) for claim in claims)


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
        "Objectives at equal compute",
        "Every objective with the bundled latent reward and as many FLOPs as the shipped ReFL recipe: all that is "
        "drawn and judged is counted. Objectives of the forward process (DiffusionNFT, AWM, CRD, DGPO, CRAFT) and "
        "policy gradients (Flow-GRPO) need no gradient of the reward; ReFL, DRTune, PRFL and distillation do. In "
        "distillation the teacher is the frozen base with the reward's gradient, with classifier-free guidance, or "
        "with both: students and base are sampled without guidance. The winner's rate, steps and guidance were chosen "
        "on the seeds 0 and 1. Two runs have the truth itself as their reward, and so say what the objective can do "
        "with a reward that is never wrong.",
        (
            "recipe",
            "refl-kl3",
            "drtune",
            "prfl",
            "distill",
            "distill-guidance",
            "best",
            "nft",
            "awm",
            "crd",
            "dgpo",
            "craft",
            "grpo-fast",
            "grpo-dense",
            "grpo-dense-kl",
            "grpo-look-ahead",
            "lpo",
            "step-groups",
            "dpo",
            "nft-truth",
            "grpo-truth",
        ),
        (
            *_at_equal_compute(
                "recipe",
                ("The winner (`align best`) raises the true utility.", "best", None),
                ("It is ahead of the shipped ReFL recipe.", "best", "recipe"),
                ("It is ahead of its teacher's guidance without a reward.", "best", "distill-guidance"),
                ("It is ahead of distillation of the reward without guidance.", "best", "distill"),
                ("ReFL with a KL weight of 3 is ahead of the recipe.", "refl-kl3", "recipe"),
                ("DRTune through four steps is ahead of ReFL with a KL weight of 3.", "drtune", "refl-kl3"),
                ("PRFL is ahead of ReFL with a KL weight of 3.", "prfl", "refl-kl3"),
                ("DiffusionNFT raises the true utility.", "nft", None),
                ("AWM raises the true utility.", "awm", None),
                ("CRD raises the true utility.", "crd", None),
                ("DGPO raises the true utility.", "dgpo", None),
                ("CRAFT raises the true utility.", "craft", None),
                ("Step-GRPO is ahead of LPO.", "step-groups", "lpo"),
            ),
            *(
                AlignmentClaim(
                    f"Dense credit by {what} is ahead of the final reward after 20 updates.", run, "grpo-fast"
                )
                for run, what in (
                    ("grpo-dense", "noisy states"),
                    ("grpo-dense-kl", "noisy states with a KL"),
                    ("grpo-look-ahead", "look-ahead"),
                )
            ),
            AlignmentClaim("The truth as reward is ahead of the model in DiffusionNFT.", "nft-truth", "nft"),
            AlignmentClaim("The truth as reward is ahead of the model in Flow-GRPO.", "grpo-truth", "grpo-fast"),
        ),
        ("best", "distill", "refl-kl3", "nft"),
        over_compute=True,
        equal_compute="recipe",
        lines=("recipe", "refl-kl3", "best", "distill-guidance", "nft", "grpo-fast"),
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
