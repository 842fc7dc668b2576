"""Generators that were distilled, and what that means for aligning them.

Steps: a generator of few steps (turbo, schnell, lightning, LCM) jumps to its samples. Its output is no longer the
velocity of the forward process, from which the clean estimate, the stochastic steps and the losses of DPO, LPO and
pretraining are made; they hold roughly, and training undoes the distillation bit by bit. Their samplers that draw all
noise anew at each step (LCM, TCD) follow no ODE, and are refused where samples are drawn.
Guidance: a generator with its guidance built in (FLUX.1-dev) is guided twice where classifier-free guidance is added.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from diffusers.models.modeling_utils import ModelMixin

_FEW_STEPS: Final = re.compile(r"turbo|schnell|lightning|sprint|\blcm\b|hyper-?sd|\bdmd2?\b|distill", re.IGNORECASE)


class DistilledWarning(UserWarning):
    """A distilled generator is about to be aligned."""


def few_steps(name: str) -> str | None:
    """What in a generator's name, a folder or a hub id, says that it was distilled to few steps; None if nothing."""
    places = re.split(r"[/\\]", name.rstrip("/\\"))
    # A hub's cache is .../models--OWNER--NAME/snapshots/COMMIT
    own = next((place for place in places if place.startswith("models--")), places[-1]).replace("_", "-")
    sign = _FEW_STEPS.search(own)
    return None if sign is None else sign[0]


def distillation_faults(pipeline: DiffusionPipeline, model: ModelMixin, guidance: float) -> list[str]:
    """Say what speaks against aligning this generator with that scale of classifier-free guidance; empty if nothing."""
    found = []
    sign = few_steps(str(pipeline.config.get("_name_or_path") or ""))
    if sign:
        found.append(
            f"the generator seems distilled to few steps (its name has {sign!r}): its output is no velocity of the "
            "forward process, so that clean estimates, stochastic steps and losses hold roughly, and training undoes "
            "the distillation"
        )
    if getattr(model.config, "guidance_embeds", False) and guidance > 1.0:
        found.append(
            f"the generator has its guidance built in, and generator.guidance {guidance:g} comes on top; without it: 1"
        )
    return found
