"""Where on a picture a score lies: where it would change first (gradient), and where the head looks (attention).

    gradient    | mean over draws of d score / d x_0 |, the length over the channels of a latent
    attention   share that the head reads of each token, a mean over draws

Gradients are averaged over noises before their length is taken (SmoothGrad, arXiv 1706.03825), so that what one draw
happens to stir is left out. Neither says in which direction a change would go, and neither is a proof of a cause.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from dina_lrm.heads.reading import read_features
from dina_lrm.reward_model.level_scores import scoring_mode
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.studio.why.given import AT_ONCE, GivenPair, Reading


@dataclass(frozen=True, eq=False)
class PictureMap:
    """Shares of a whole that lie on the cells of a picture: at least 0, with a sum of 1 (0 where there is nothing)."""

    shares: Float[np.ndarray, "rows columns"]

    @property
    def peak(self) -> float:
        """How much the densest cell holds, in mean cells: 1 where all hold the same."""
        return float(self.shares.max() * self.shares.size)


def gradient_map(
    model: LatentRewardModel,
    pair: GivenPair,
    reading: Reading,
    progress: ReportProgress = lambda done, total: None,
) -> PictureMap:
    """Where the score reacts to the picture, on the grid of its latent; `progress` is told the draws."""
    total, level, done = torch.zeros_like(pair.latents[0], dtype=torch.float32), reading.at(model), 0
    for noise in reading.noise(pair.latents).split(AT_ONCE):
        copies = pair.latents.detach().float().repeat(len(noise), 1, 1, 1).requires_grad_(True)
        scores = model.score_latents(copies, pair.conditioning[[0] * len(noise)], level, noise=noise)
        [gradients] = torch.autograd.grad(scores.sum(), copies)
        total += gradients.sum(dim=0)
        done += len(noise)
        progress(done, reading.draws)
    return _shares(total.norm(dim=0).double().cpu().numpy())


def attention_map(
    model: LatentRewardModel,
    pair: GivenPair,
    reading: Reading,
    progress: ReportProgress = lambda done, total: None,
) -> PictureMap | None:
    """Where the head looks, on the grid of its tokens; None for a head that has no attention."""
    found: list[Float[np.ndarray, " tokens"]] = []
    level = reading.at(model)
    with scoring_mode(model, model.backbone):
        for noise in reading.noise(pair.latents):
            noisy = model.process.add_noise(pair.latents, noise[None], level)
            features = read_features(model.backbone, model.head, noisy, torch.full((1,), level), pair.conditioning)
            weights = model.head.visual_attention([model.head.tokens(features)])
            if weights is None:
                return None
            found.append(weights[0].double().cpu().numpy())
            progress(len(found), reading.draws)
    mean = np.mean(found, axis=0)
    return _shares(mean.reshape(_grid(mean.size, pair.latents.shape[-2:], features.grids)))


def _grid(
    tokens: int, latent: tuple[int, ...] | torch.Size, grids: tuple[tuple[int, int], ...] | None
) -> tuple[int, int]:
    """Rows and columns of the tokens: as the backbone says, else in the shape of the latent."""
    for grid in grids or ():
        if grid[0] * grid[1] == tokens:
            return grid
    rows = round((tokens * latent[0] / latent[1]) ** 0.5)
    assert rows * (tokens // rows) == tokens, f"{tokens} tokens do not lie on a grid of the shape {tuple(latent)}"
    return rows, tokens // rows


def _shares(values: Float[np.ndarray, "rows columns"]) -> PictureMap:
    total = values.sum()
    return PictureMap(values / total if total > 0 else values)
