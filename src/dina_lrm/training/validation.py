"""Loss, accuracy and score statistics on held-out pairs, at the level and noise the model will score with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.faults import non_finite_names
from dina_lrm.training.objective import comparison_loss
from dina_lrm.training.totals import PairTotals, pair_sums
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Validation:
    """Means over pairs that were measured; `accuracy` counts decided pairs only and is NaN without one.

    Everything is NaN where no pair could be measured.
    """

    loss: float
    accuracy: float
    pairs: int
    ties: int
    score_mean: float
    score_std: float
    """Deviation of the scores of both images of every comparison, with Bessel's correction; 1 when they are all
    alike."""
    missing: int = 0
    """Pairs that are in none of these numbers: a score or the loss was NaN or infinite."""

    def to_dict(self) -> dict[str, float]:
        """Plain values, for a log."""
        return asdict(self)


@torch.no_grad()
def validate(
    model: LatentRewardModel, objective: PreferenceObjective, data: EncodedComparisons, batch_size: int, seed: int = 0
) -> Validation:
    """Measure `model` on `data` at its own noise level; every image sees the noise of `seed`, as in scoring."""
    sums = torch.zeros(6, dtype=torch.float64)
    scores = []
    for indices in in_order(data, batch_size):
        batch = data.batch(indices).to(model.device)
        noise = [
            seeded_noise(part.latents.shape[1:], seed).to(model.device).expand(len(part.groups), -1, -1, -1)
            for part in batch.images
        ]
        level = torch.full((batch.groups,), model.config.noise_level, device=model.device)
        found = comparison_loss(model, model.process, objective, batch, level, noise)
        known = found.margin.isfinite() & found.pair_loss.isfinite()
        sums += pair_sums(found, batch.weight, known).cpu().double()
        scores += [found.scores[side[known]].cpu().double() for side in (batch.first, batch.second)]
    totals = PairTotals(*sums.tolist())
    every_score = torch.cat(scores)
    spread = float(every_score.std()) if len(every_score) > 1 else 0.0
    return Validation(
        loss=totals.mean_loss,
        accuracy=totals.accuracy,
        pairs=int(totals.pairs),
        ties=int(totals.pairs - totals.decided),
        score_mean=float(every_score.mean()),
        score_std=spread if spread > 0 else 1.0,
        missing=len(data) - int(totals.pairs),
    )


def weighing(data: EncodedComparisons, what: str) -> EncodedComparisons:
    """`data` without comparisons of weight 0, which count nowhere. ValueError, naming `what`, where none is left."""
    kept = (data.weight > 0).nonzero().flatten()
    if len(kept) == 0:
        raise DinaError(f"{what}: every one of the {len(data)} comparisons weighs 0; accepted: at least one above 0")
    return data if len(kept) == len(data) else data.subset(kept)


def measurable(data: EncodedComparisons, batch_size: int) -> tuple[EncodedComparisons | None, list[str]]:
    """`data` without comparisons that cannot be read (damaged files, NaN), and the names of those left out.

    None where none is left. What can be measured is known before the training, not after it.
    """
    good = torch.ones(len(data), dtype=torch.bool)
    for indices in in_order(data, batch_size):
        if not _is_readable(data, indices):
            good[indices] = torch.tensor([_is_readable(data, row.reshape(1)) for row in indices])
    names = [pair_name(data, row) for row in (~good).nonzero().flatten().tolist()]
    if not names:
        return data, []
    return data.subset(good.nonzero().flatten()) if good.any() else None, names


def _is_readable(data: EncodedComparisons, indices: Tensor) -> bool:
    try:
        batch = data.batch(indices)
    except ValueError:  # a file that was changed or is damaged, or values that are not finite
        return False
    return not non_finite_names(
        [
            named
            for part in batch.images
            for named in (("latents", part.latents), ("prompts", part.conditioning.prompt_embeds))
        ]
    )


def pair_name(data: EncodedComparisons, row: int) -> str:
    """The id of a comparison, or its place in the stream that was encoded where it has none."""
    return data.pairs.pair_id[row] or f"number {int(data.pairs.number[row])}"


def in_order(data: EncodedComparisons, batch_size: int) -> Iterator[Tensor]:
    """Batches of one size or of the same two sizes each; comparisons of a prompt are side by side, so that images that
    they share are forwarded once.
    """
    for bucket in data.buckets.unique():
        here = (data.buckets == bucket).nonzero().flatten()
        yield from here[data.pairs.prompt[here].argsort(stable=True)].split(batch_size)
