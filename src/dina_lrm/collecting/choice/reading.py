"""What a reward model reads of each picture, in which votes find a taste: its score, and how the tapped layers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.reading import read_features
from dina_lrm.heads.statistics import tap_statistics
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.inputs import Notices, encoded_batches
from dina_lrm.reward_model.level_scores import common_noise, scoring_mode
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Reading:
    """The main scores of pictures for their prompts, and the statistics of all taps, at the model's own noise level."""

    scores: Float[np.ndarray, " pictures"]
    statistics: Float[np.ndarray, "pictures statistics"]


def check_teachable(model: LatentRewardModel) -> None:
    """Raise DinaError for a model whose score cannot take a linear map beside it."""
    head = model.head
    told = f"a sum of scores {model.weights}" if model.weights else f"a head {type(head).__name__}"
    if model.weights or not isinstance(head, QFormerHead) or head.config.logistic:
        raise DinaError(f"--learn: {told}; accepted: a model with a head 'qformer' without its logistic, of one score")


def read_pictures(
    model: LatentRewardModel,
    images: Sequence[GivenPicture],
    prompts: Sequence[str],
    seed: int = 0,
    batch_size: int = 16,
    notices: Notices | None = None,
) -> Reading:
    """Read pictures for their prompts, with one pass of the backbone for each.

    `notices` counts what was resized and cut, to be told by the caller; without, it is warned of once.
    Raises DinaError for a model that cannot be taught, and for pictures as `LatentRewardModel.score` does.
    """
    if len(images) != len(prompts):
        raise DinaError(f"read pictures: {len(images)} pictures and {len(prompts)} prompts; accepted: equally many")
    check_teachable(model)
    assert isinstance(model.head, QFormerHead)
    scores, statistics = np.zeros(len(images)), np.zeros((len(images), 0))
    own, level = Notices() if notices is None else notices, model.config.noise_level
    with scoring_mode(model, model.backbone):
        for batch in encoded_batches("learn", model.backbone, images, prompts, model.buckets, batch_size, own):
            noisy = model.process.add_noise(batch.latents, common_noise(batch.latents, seed), level)
            levels = torch.full((len(batch.latents),), level)
            features = read_features(model.backbone, model.head, noisy, levels, batch.conditioning)
            found = model.main_of(model.head([features])).float().cpu().numpy()
            whole = tap_statistics(features, model.head.config.use_text).cpu().numpy()
            if not statistics.size:
                statistics = np.zeros((len(images), whole.shape[1]))
            scores[batch.rows], statistics[batch.rows] = found, whole
    if notices is None:
        own.say("learn", stacklevel=2)
    return Reading(scores, statistics)
