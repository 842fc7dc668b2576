"""Clean samples that a generator learns from: drawn by the generator as it is, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.sampling.objective import Objective, ObjectiveScores


@dataclass(frozen=True)
class CleanPart:
    """A micro-batch of clean samples; `rows` is its place in the batch of all processes."""

    rows: slice
    latents: Latents
    conditioning: Conditioning


@torch.no_grad()
def drawn_parts(
    generator: Generator,
    objective: Objective,
    prompts: Sequence[str],
    seeds: Sequence[int],
    parts: Sequence[slice],
    levels: Float[Tensor, " levels"],
    guidance: float,
    reward_seed: int,
) -> tuple[list[CleanPart], list[ObjectiveScores]]:
    """Draw the micro-batches `parts` of a batch by the generator as it is, and score them.

    `prompts` and `seeds` are those of the whole batch. All are scored with one draw of the reward's noise: images of a
    group must differ in nothing else.
    """
    drawn, scores = [], []
    for rows in parts:
        conditioning = generator.encode_prompts(prompts[rows])
        noise = generator.noise(list(seeds[rows]))
        latents = generator.denoise(noise, conditioning, levels, guidance=guidance)
        drawn.append(CleanPart(rows, latents, conditioning))
        scores.append(objective(latents, prompts[rows], reward_seed, conditioning))
    return drawn, scores
