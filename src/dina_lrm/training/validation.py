"""Loss, accuracy and score statistics on held-out pairs, at the level and noise the model will score with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.diffusion.noise import seeded_noise
from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.faults import non_finite_names
from dina_lrm.training.objective import comparison_loss
from dina_lrm.training.totals import PairTotals, ScoreTotals, pair_sums
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class ScoreValidation:
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


@dataclass(frozen=True)
class Validation(ScoreValidation):
    """The same of the main score, but for the loss, which is that of all scores together; and of each by name."""

    scores: Mapping[str, ScoreValidation] = field(default_factory=dict)
    """Of a model with named scores; the pairs of each are those that say something of it."""

    def to_dict(self) -> dict[str, float]:
        """Plain values, for a log."""
        return asdict(self)


@torch.no_grad()
def validate(
    model: LatentRewardModel,
    objective: PreferenceObjective,
    data: EncodedComparisons,
    batch_size: int,
    seed: int = 0,
    weights: Mapping[str, float] | None = None,
) -> Validation:
    """Measure `model` on `data` at its own noise level; every image sees the noise of `seed`, as in scoring.

    `weights` are those of named scores in the loss; by default all count alike.
    """
    config = model.config
    asked = {name: (weights or {}).get(name, 1.0) for name in config.scores}
    sums = torch.zeros(len(config.names), 6, dtype=torch.float64)
    scores: list[Tensor] = []
    held = RowBuffers()
    said = torch.zeros(len(config.names), dtype=torch.long)
    for indices in in_order(data, batch_size):
        batch = data.batch(indices, scores=asked, into=held).to(model.device)
        noise = [
            seeded_noise(part.latents.shape[1:], seed).to(model.device).expand(len(part.groups), -1, -1, -1)
            for part in batch.images
        ]
        level = torch.full((batch.groups,), model.config.noise_level, device=model.device)
        found = comparison_loss(model, model.process, objective, batch, level, noise)
        known = found.margin.isfinite() & found.pair_loss.isfinite()
        sums += pair_sums(found, known).cpu().double()
        said += found.judged.score.bincount(minlength=len(said)).cpu()
        scores += [found.scores[side[found.judged.pair[known]]].cpu().double() for side in (batch.first, batch.second)]
    totals = ScoreTotals.by_name(sums.flatten().tolist(), config.names, config.main)
    every_score = torch.cat(scores)
    measured = {
        name: _measured(totals.of[name], totals.of[name].mean_loss, every_score[:, row], int(said[row]))
        for row, name in enumerate(config.names)
    }
    own = measured[config.main]
    loss = totals.whole.mean_loss
    return Validation(**{**asdict(own), "loss": loss}, scores=measured if config.scores else {})


def _measured(totals: PairTotals, loss: float, scores: Tensor, said: int) -> ScoreValidation:
    spread = float(scores.std()) if len(scores) > 1 else 0.0
    return ScoreValidation(
        loss=loss,
        accuracy=totals.accuracy,
        pairs=int(totals.pairs),
        ties=int(totals.pairs - totals.decided),
        score_mean=float(scores.mean()),
        score_std=spread if spread > 0 else 1.0,
        missing=said - int(totals.pairs),
    )


def weighing(data: EncodedComparisons, what: str, scores: Mapping[str, float] | None = None) -> EncodedComparisons:
    """`data` without comparisons that weigh 0, or that say nothing of `scores` that weigh more: they count nowhere.

    ValueError, naming `what`, where none is left.
    """
    every = torch.arange(len(data))
    judged = data.pairs.judgements(every, scores or {})
    kept = judged.pair[judged.weight > 0].unique()
    if len(kept) == 0 and scores:
        raise DinaError(
            f"{what}: none of the {len(data)} comparisons says anything of the scores {', '.join(scores)}; said: "
            f"{data.pairs.counts()}; accepted: comparisons with `preferences` of these names"
        )
    if len(kept) == 0:
        raise DinaError(f"{what}: every one of the {len(data)} comparisons weighs 0; accepted: at least one above 0")
    return data if len(kept) == len(data) else data.subset(kept)


def measurable(data: EncodedComparisons, batch_size: int) -> tuple[EncodedComparisons | None, list[str]]:
    """`data` without comparisons that cannot be read (damaged files, NaN), and the names of those left out.

    None where none is left. What can be measured is known before the training, not after it.
    """
    good, held = torch.ones(len(data), dtype=torch.bool), RowBuffers()
    for indices in in_order(data, batch_size):
        if not _is_readable(data, indices, held):
            good[indices] = torch.tensor([_is_readable(data, row.reshape(1), held) for row in indices])
    names = [pair_name(data, row) for row in (~good).nonzero().flatten().tolist()]
    if not names:
        return data, []
    return data.subset(good.nonzero().flatten()) if good.any() else None, names


def _is_readable(data: EncodedComparisons, indices: Tensor, held: RowBuffers) -> bool:
    try:
        batch = data.batch(indices, into=held)
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
