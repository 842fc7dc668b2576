"""What a generator and its reference predict of given pictures, noised: mean squared errors, with or without gradient.

Both pictures of a pair get the noise of one seed at one level, and go through the model together.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.dpo_loss import squared_error
from dina_lrm.alignment.algorithms.dpo_settings import ErrorWeighting
from dina_lrm.alignment.pairs.losses import level_weight
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.generators.generator import Generator, Latents

Errors = Float[Tensor, " pictures"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Encoded pictures by their places in a set, each with the prompt it is judged for, its seed and its level."""

    bucket: Int64[Tensor, " pictures"]
    image: Int64[Tensor, " pictures"]
    prompt: Int64[Tensor, " pictures"]
    seed: Int64[Tensor, " pictures"]
    level: Float[Tensor, " pictures"]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Int64[Tensor, " rows"]) -> Pictures:
        """Those of some rows, in the order asked."""
        return Pictures(*(value[rows] for value in vars(self).values()))


def errors_of(
    generator: Generator, data: EncodedComparisons, pictures: Pictures, space: ErrorWeighting, gradient: bool = True
) -> tuple[Errors, Errors]:
    """The errors of the model, and of its reference without gradient, times the weight of their levels; on the CPU
    or where the generator is.

    Pictures of one size go through the model together.
    """
    model, reference = [], []
    order = [(pictures.bucket == bucket).nonzero().flatten() for bucket in pictures.bucket.unique().tolist()]
    for rows in order:
        own, before = _of_one_size(generator, data, pictures.take(rows), space, gradient)
        model.append(own)
        reference.append(before)
    back = torch.cat(order).argsort().to(model[0].device)
    return torch.cat(model)[back], torch.cat(reference)[back]


def _of_one_size(
    generator: Generator, data: EncodedComparisons, some: Pictures, space: ErrorWeighting, gradient: bool
) -> tuple[Errors, Errors]:
    device, process = generator.backbone.device, generator.process
    clean = latents_of(data, int(some.bucket[0]), some.image).to(device)
    told = data.conditioning_of(some.prompt).to(device, generator.backbone.dtype)
    noise = torch.stack([seeded_noise(clean.shape[1:], seed) for seed in some.seed.tolist()]).to(device)
    level = some.level.to(device)
    x, target = process.add_noise(clean, noise, level), process.velocity(clean, noise, level)
    weight = level_weight(level, space, process)
    with torch.no_grad(), generator.reference():
        before = weight * squared_error(generator.velocity(x, level, told), target)
    with nullcontext() if gradient else torch.no_grad():
        return weight * squared_error(generator.velocity(x, level, told), target), before


def latents_of(data: EncodedComparisons, bucket: int, rows: Int64[Tensor, " rows"]) -> Latents:
    """Latents of a bucket, float32."""
    return data.latents[bucket].rows(rows)["latents"].float()
