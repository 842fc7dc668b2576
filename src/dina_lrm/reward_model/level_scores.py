"""Scores of latents at noise levels and groups of noise levels: the core that every way of scoring goes through."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.turn import turn
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.heads.base import Head, HeadTokens
from dina_lrm.heads.reading import read_features
from dina_lrm.reward_model.inputs import EncodedBatch

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


@dataclass(frozen=True)
class LevelScores:
    """Raw scores of the same latents at several noise levels, and of several ensembles of levels."""

    single: Float[Tensor, "batch levels"]
    ensembles: Float[Tensor, "batch ensembles"]


def scores_of_groups(
    backbone: "Backbone",
    head: Head,
    latents: Float[Tensor, "batch channels height width"],
    conditioning: Conditioning,
    groups: Sequence[Sequence[float]],
    noise: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch groups scores"]:
    """All scores for each group of noise levels: the backbone runs once a distinct level, the head once a group."""

    def tokens(level: float) -> HeadTokens:
        noisy = backbone.process.add_noise(latents, noise, level)
        levels = torch.full((len(latents),), level)
        return head.tokens(read_features(backbone, head, noisy, levels, conditioning))

    by_level = {level: tokens(level) for level in dict.fromkeys(level for group in groups for level in group)}
    scores = [head.scores([by_level[level] for level in group]) for group in groups]
    return torch.stack(scores, dim=1) if scores else latents.new_zeros(len(latents), 0, head.count, dtype=torch.float32)


def scores_of_batches(
    backbone: "Backbone", head: Head, batches: Iterable[EncodedBatch], count: int, levels: Sequence[float], seed: int
) -> Float[Tensor, "count scores"]:
    """All scores of `count` items that come in batches, at one noise level or of one ensemble."""
    found: list[Tensor] = []
    rows: list[int] = []
    for batch in batches:
        noise = common_noise(batch.latents, seed)
        found.append(scores_of_groups(backbone, head, batch.latents, batch.conditioning, [levels], noise)[:, 0])
        rows += batch.rows
    scores = torch.empty(count, found[0].shape[1], device=backbone.device)
    scores[rows] = torch.cat(found)
    return scores


def common_noise(latents: Float[Tensor, "batch channels height width"], seed: int) -> Float[Tensor, "batch c h w"]:
    """The same noise for every item, a function of (seed, latent shape) alone, in float32."""
    return seeded_noise(latents.shape[1:], seed).to(latents.device).expand(latents.shape)


@contextmanager
def scoring_mode(
    module: nn.Module, backbone: "Backbone", differentiable: Shaped[Tensor, "..."] | None = None
) -> Iterator[None]:
    """Without dropout, and without a graph unless the tensor given asks for one; the train flags are restored after.

    One thread at a time: blocks, adapters and flags are switched inside. ValueError when weights that the backbone
    shares with a generator are not what they were.
    """
    wanted = torch.is_grad_enabled() and differentiable is not None and differentiable.requires_grad
    with turn(backbone.owner):
        backbone.check_shared()
        training = [inner for inner in module.modules() if inner.training]
        try:
            for inner in training:
                inner.training = False
            with torch.set_grad_enabled(wanted):
                yield
        finally:
            for inner in training:
                inner.training = True
