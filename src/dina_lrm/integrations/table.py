"""The table of trainers that a reward plugs into. Torch-free.

A new one is a module, a row, a folder of `assets/integrations` with the files to show, and a section of
`docs/trainers.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Integration:
    """One trainer, and how a reward of ours gets into it."""

    about: str
    """What the trainer is."""
    plugin: str
    """What its configuration names, a dotted path of this package; "MODULE:NAME" where it takes a name of a module."""
    latents: str
    """Whether a reward sees clean latents there."""
    embeddings: str
    """Whether it sees the prompts' embeddings."""
    threads: str
    """Who calls, and from how many threads."""
    failure: str
    """What the trainer does when a reward raises."""

    @property
    def module(self) -> str:
        """The module of the plug-in."""
        return self.plugin.partition(":")[0]


_HERE: Final = "dina_lrm.integrations"
INTEGRATIONS: Final[Mapping[str, Integration]] = {
    "verl-omni": Integration(
        "verl's trainer of diffusion and omni models (FlowGRPO, DiffusionNFT)",
        f"{_HERE}.verl_omni:compute_score",
        latents="with output_type latent or both",
        embeddings="yes",
        threads="an event loop in each Ray worker",
        failure="0.0 is learned from; with required: true the run stops",
    ),
    "flow-factory": Integration(
        "trainer of diffusion models by GRPO, DiffusionNFT and more",
        f"{_HERE}.flow_factory:Dina",
        latents="where the last one that is stored is the clean one; else pictures",
        embeddings="yes",
        threads="one, or num_workers with async_reward",
        failure="the run stops",
    ),
    "unirl": Integration(
        "trainer of unified and diffusion models on Ray",
        f"{_HERE}.unirl:DinaService",
        latents="yes",
        embeddings="yes",
        threads="one in each reward actor",
        failure="the step raises",
    ),
    "flow-grpo": Integration(
        "the scripts of Flow-GRPO's authors",
        f"{_HERE}.flow_grpo:install",
        latents="with one changed line of the script; else pictures",
        embeddings="with the same line",
        threads="eight threads",
        failure="the step raises",
    ),
    "miles-diffusion": Integration(
        "miles' trainer of diffusion models, on SGLang",
        f"{_HERE}.miles:reward",
        latents="yes; pictures in an evaluation",
        embeddings="no: prompts are encoded here",
        threads="one event loop",
        failure="the rollout raises",
    ),
    "ms-swift": Integration(
        "ms-swift's GRPO of language models",
        f"{_HERE}.swift:register",
        latents="no: texts, which are drawn, or pictures of the data set",
        embeddings="no",
        threads="one",
        failure="the step raises; None is left out",
    ),
    "trl": Integration(
        "TRL's GRPO of language models, and scripts for its former diffusion trainers",
        f"{_HERE}.trl:text_reward",
        latents="no: texts, which are drawn, or pictures of the data set",
        embeddings="no",
        threads="one",
        failure="the step raises; None is left out",
    ),
    "diffusers": Integration(
        "a callback of any pipeline while it samples",
        "dina_lrm:RewardTrace",
        latents="yes, behind every step",
        embeddings="no: prompts are encoded here",
        threads="one",
        failure="the call of the pipeline raises",
    ),
}


def name_of(given: str) -> str:
    """The name of a trainer in the table; "verl_omni" is verl-omni too. ValueError for another name."""
    name = given.replace("_", "-").lower()
    if name not in INTEGRATIONS:
        raise DinaError(f"trainer {given!r}; accepted: {', '.join(INTEGRATIONS)}")
    return name
