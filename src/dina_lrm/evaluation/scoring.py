"""Scores of encoded comparisons at several noise levels and ensembles, in one pass over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.data.cache.batch import SizedImages
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.row_buffers import RowBuffers
from dina_lrm.evaluation.readings import PairScores, Reading
from dina_lrm.reward_model.level_scores import common_noise
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

ReportProgress = Callable[[int, int], None]
"""Called with (pairs done, all pairs)."""


def shifted(progress: ReportProgress, before: int, total: int) -> ReportProgress:
    """The progress of a part of the work as that of the whole: `before` pairs are done of `total`."""
    return lambda done, _: progress(before + done, total)


def readings_of(levels: Sequence[float], ensembles: Sequence[Sequence[float]]) -> tuple[Reading, ...]:
    """One reading for each noise level, then one for each ensemble, each once. Raises ValueError when there is none."""
    short = [list(ensemble) for ensemble in ensembles if len(ensemble) < 2]
    if short:
        raise DinaError(f"ensemble {short[0]}; accepted: two or more noise levels in [0, 1]")
    asked = [*((level,) for level in levels), *ensembles]
    if not asked:
        raise DinaError("neither noise levels nor ensembles were given; accepted: at least one")
    return tuple(dict.fromkeys(Reading(tuple(map(float, group))) for group in asked))


def score_comparisons(
    model: LatentRewardModel,
    data: EncodedComparisons,
    readings: Sequence[Reading],
    batch_size: int = 64,
    seed: int = 0,
    progress: ReportProgress | None = None,
    mirrored: bool = False,
) -> PairScores:
    """Raw scores and win probabilities of every pair, in the order of `data`.

    Each image is noised and read once for each distinct level, whatever the number of readings; the head runs once for
    each reading. All images of a shape, so both of a pair that has one, see the noise of `seed`, its sign changed
    where it is `mirrored`. `batch_size` pairs are in memory at a time and change no score; pairs of a prompt share a
    batch, so that images they share are read once. Of a model with named scores it is the main one.
    """
    every = every_score(model, data, readings, batch_size, seed, progress, mirrored)
    return pair_scores(model, readings, model.main_of(every))


def every_score(
    model: LatentRewardModel,
    data: EncodedComparisons,
    readings: Sequence[Reading],
    batch_size: int = 64,
    seed: int = 0,
    progress: ReportProgress | None = None,
    mirrored: bool = False,
) -> Float[Tensor, "2 pairs readings scores"]:
    """As `score_comparisons`, all raw scores of both images of every pair, in the order of `model.config.names`."""
    single = [reading for reading in readings if not reading.is_ensemble]
    ensembles = [reading for reading in readings if reading.is_ensemble]
    order = [*single, *ensembles]
    columns = [order.index(reading) for reading in readings]
    sides = torch.empty(2, len(data), len(order), len(model.config.names))
    done = 0
    held = RowBuffers()
    for indices in _batches(data, batch_size):
        batch = data.batch(indices, into=held).to(model.device)
        scores = torch.cat([_scores(model, part, order, seed, mirrored) for part in batch.images])
        sides[:, indices] = torch.stack([scores[batch.first], scores[batch.second]]).float().cpu()
        done += len(indices)
        if progress is not None:
            progress(done, len(data))
    return sides[:, :, columns]


@torch.no_grad()
def _scores(
    model: LatentRewardModel,
    images: SizedImages,
    readings: Sequence[Reading],
    seed: int,
    mirrored: bool,
) -> Float[Tensor, "images readings scores"]:
    noise = common_noise(images.latents, seed)
    levels = [reading.levels for reading in readings]
    return model.reading_scores(images.latents, images.conditioning, levels, -noise if mirrored else noise)


def pair_scores(
    model: LatentRewardModel, readings: Sequence[Reading], sides: Float[Tensor, "2 pairs readings"]
) -> PairScores:
    """Raw scores of both images of every pair with the model's own win probabilities."""
    sides = sides.cpu().double()
    margins = sides[0] - sides[1]

    def link(margins: np.ndarray, column: int) -> np.ndarray:
        return model.margin_probability(torch.from_numpy(margins).double(), readings[column].levels).numpy()

    probability = [link(margins[:, column].numpy(), column) for column in range(len(readings))]
    return PairScores(
        readings=tuple(readings),
        first=sides[0].numpy(),
        second=sides[1].numpy(),
        probability=np.stack(probability, axis=1),
        link=link,
    )


def _batches(data: EncodedComparisons, batch_size: int) -> Iterator[Int64[Tensor, " chosen"]]:
    """Batches of one size or of the same two sizes each, pairs of a prompt side by side."""
    if batch_size < 1:
        raise DinaError(f"batch_size is {batch_size}; accepted: at least 1")
    buckets, prompts = data.buckets.numpy(), data.pairs.prompt.numpy()
    order = np.lexsort((prompts, buckets))
    for bucket in np.unique(buckets):
        yield from torch.from_numpy(order[buckets[order] == bucket]).split(batch_size)
