"""Loss, accuracy and score statistics on held-out pairs, at the level and noise the model will score with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.model import LatentRewardModel
from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.training.objective import LossOutput, comparison_loss


@dataclass(frozen=True)
class Validation:
    """Means over pairs; `accuracy` counts decided pairs only and is NaN without one."""

    loss: float
    accuracy: float
    pairs: int
    ties: int
    score_mean: float
    score_std: float
    """Of the scores of both images of every comparison, with Bessel's correction; 1 when they are all alike."""

    def to_dict(self) -> dict[str, float]:
        """Plain values, for a log."""
        return asdict(self)


@torch.no_grad()
def validate(
    model: LatentRewardModel, objective: PreferenceObjective, data: EncodedComparisons, batch_size: int, seed: int = 0
) -> Validation:
    """Measure `model` on `data` at its own noise level; every image sees the noise of `seed`, as in scoring."""
    totals = torch.zeros(6, dtype=torch.float64)
    scores = []
    for indices in in_order(data, batch_size):
        batch = data.batch(indices).to(model.device)
        noise = seeded_noise(batch.latents.shape[1:], seed).to(model.device).expand(batch.groups, -1, -1, -1)
        level = torch.full((batch.groups,), model.config.noise_level, device=model.device)
        found = comparison_loss(model, model.process, objective, batch, level, noise)
        totals += pair_totals(found, batch.weight).cpu().double()
        scores += [found.scores[side].double().cpu() for side in (batch.first, batch.second)]
    weighted_loss, weight, correct, decided, count, _ = totals.tolist()
    every_score = torch.cat(scores)
    spread = float(every_score.std()) if len(every_score) > 1 else 0.0
    return Validation(
        loss=weighted_loss / weight,
        accuracy=correct / decided if decided else math.nan,
        pairs=int(count),
        ties=int(count - decided),
        score_mean=float(every_score.mean()),
        score_std=spread if spread > 0 else 1.0,
    )


def pair_totals(found: LossOutput, weight: Tensor) -> Tensor:
    """Sums over pairs: loss times weight, weight, ranked right, decided, pairs, |margin|."""
    columns = (
        found.pair_loss * weight,
        weight,
        found.correct,
        found.decided,
        torch.ones_like(weight),
        found.margin.abs(),
    )
    return torch.stack([column.float().sum() for column in columns])


def in_order(data: EncodedComparisons, batch_size: int) -> Iterator[Tensor]:
    """Batches of one bucket each, comparisons of a prompt side by side so that shared images are forwarded once."""
    for bucket in data.buckets.unique():
        here = (data.buckets == bucket).nonzero().flatten()
        yield from here[data.pairs.prompt[here].argsort(stable=True)].split(batch_size)
