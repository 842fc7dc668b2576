"""All randomness of a run as a function of (seed, step), so that there is no generator state to save or lose.

A run that is killed and resumed, cut into micro-batches or spread over processes then draws the same numbers: noise is
keyed by (seed, step, prompt), whichever process meets the prompt, and dropout by (seed, step, image).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.image_dropout import draw_by_rows
from dina_lrm.backbones.rows_read import RowsRead
from dina_lrm.data.cache.batch import ComparisonBatch, SizedImages
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.objective import Scorer

_MASK = (1 << 64) - 1
# Which draw of a step a seed belongs to: the same (seed, step) must not give related numbers for different uses.
LEVELS, NOISE, LAYERS, BACKBONE = 1, 2, 3, 4


def mixed_seed(*parts: int) -> int:
    """One 63-bit seed from several integers (splitmix64 steps): nearby inputs give unrelated seeds."""
    # numpy.random.SeedSequence does as much, and gives other numbers: no run stored so far would go on as it began
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def step_levels(
    sampler: NoiseLevelSampler, seed: int, step: int, groups: int, stratified: bool = True
) -> Float[Tensor, " groups"]:
    """Noise levels of the `groups` prompt groups of the whole batch of `step`.

    Stratified: one uniform number in each of `groups` equal intervals, in random order, so that every level is still a
    draw from the sampler's distribution while the levels of a batch cover it evenly.
    """
    generator = torch.Generator().manual_seed(mixed_seed(seed, step, LEVELS))
    if not stratified:
        return sampler.sample(groups, generator)
    u = (torch.randperm(groups, generator=generator) + torch.rand(groups, generator=generator)) / groups
    return sampler.from_uniform(u).clamp(0, 1)


def step_noise(
    shape: tuple[int, ...], seed: int, step: int, keys: Sequence[int]
) -> Float[Tensor, "groups channels height width"]:
    """One standard normal draw of `shape` (channels, height, width) a key; keys are prompt numbers."""
    noise = torch.empty((len(keys), *shape))
    generator = torch.Generator()
    for row, key in zip(noise, keys, strict=True):
        row.normal_(generator=generator.manual_seed(mixed_seed(seed, step, NOISE, key)))
    return noise


@final
class Dropouts:
    """The dropout layers of a model that is trained, which draw by image from now on.

    `any` says whether there are some: layers that drop nothing are left as they are.
    """

    def __init__(self, model: LatentRewardModel, seed: int) -> None:
        self._rows, self._seed = model.backbone.rows_read, seed
        self.any = draw_by_rows(model, model.backbone.transformer, self._rows)

    def scorer(self, model: Scorer, batch: ComparisonBatch, step: int) -> Scorer:
        """`model`, told which images it reads when it is called for each size of the batch in turn."""
        if not self.any:
            return model
        return _Named(model, self._rows, iter([self._names(images, batch.prompts, step) for images in batch.images]))

    def _names(self, images: SizedImages, prompts: Tensor, step: int) -> Int64[Tensor, " images"]:
        size = images.latents.shape[-2:]
        rows = zip(prompts[images.group].tolist(), images.rows.tolist(), strict=True)
        names = [mixed_seed(self._seed, step, LAYERS, prompt, *size, row) for prompt, row in rows]
        return torch.tensor(names, device=images.latents.device)


class _Named:
    """A model that is called once for each of several groups of images, and names their rows."""

    def __init__(self, model: Scorer, rows: RowsRead, names: Iterator[Tensor]) -> None:
        self._model, self._rows, self._names = model, rows, names

    def __call__(self, states: Tensor, levels: Tensor, conditioning: Conditioning) -> Tensor:
        names = next(self._names)
        # An image is there once, or at a second noise level behind all others
        with self._rows.of(names.repeat(len(states) // len(names))):
            return self._model(states, levels, conditioning)


@contextmanager
def private_global_generators(device: torch.device) -> Iterator[None]:
    """Let the caller's global random state come out as it went in."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
