"""Common random numbers: noise that depends on a seed and a shape, and on nothing else."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.typed import DinaError

SEEDS = range(-(2**63), 2**64)


def seeded_noise(shape: Sequence[int], seed: int) -> Float[Tensor, "..."]:
    """Standard normal float32 noise on the CPU, a function of (`seed`, `shape`) alone.

    `shape` is that of one latent, (channels, height, width), without a batch axis: every image of that shape sees the
    same noise, whatever it is batched with, so that the scores of two images can be compared. The global generator,
    the default dtype and the default device play no part.

    Raises:
        ValueError: if a side of `shape` is negative, or `seed` is outside [-2**63, 2**64).
    """
    if seed not in SEEDS:
        raise DinaError(f"seeded_noise: seed is {seed}; accepted: integers in [-2**63, 2**64)")
    if any(side < 0 for side in shape):
        raise DinaError(f"seeded_noise: shape is {tuple(shape)}; accepted: sides >= 0")
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device="cpu")
