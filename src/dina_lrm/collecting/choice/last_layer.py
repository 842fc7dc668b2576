"""What the last layer of a model's head reads of each picture: a score is linear in it, so that votes say how sure it
is.

The score is w . f + b, where f is what the last layer reads, averaged over the head's queries, at the model's own noise
level. Two pictures of a prompt have the margin w . (f_a - f_b).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.collecting.choice.posterior import Posterior
from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.inputs import Notices, encoded_batches
from dina_lrm.reward_model.level_scores import common_noise, scores_of_groups, scoring_mode
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.typed import DinaError

_TOLERANCE = 1e-3
"""How far a score may be from what the last layer makes of its features, in scores or in shares of one."""


@dataclass(frozen=True)
class LastLayer:
    """What the last layer reads of pictures, in the order given, and its own weights."""

    features: Float[np.ndarray, "pictures features"]
    weights: Float[np.ndarray, " features"]
    scores: Float[np.ndarray, " pictures"]

    def before(self) -> Posterior:
        """What is known before any vote of this collection: the weights as they are, each unsure by their mean square.

        That is the variance of a normal distribution from which weights like these are likeliest drawn.
        """
        return Posterior.before(self.weights, float(np.square(self.weights).mean()))


def read_last_layer(
    model: LatentRewardModel,
    images: Sequence[GivenPicture],
    prompts: Sequence[str],
    seed: int = 0,
    batch_size: int = 16,
) -> LastLayer:
    """Read pictures for their prompts, with one pass of the backbone for each.

    Raises DinaError for a head whose scores are not linear in what a last layer reads, and for pictures as
    `LatentRewardModel.score` does.
    """
    if len(images) != len(prompts):
        raise DinaError(f"last layer: {len(images)} pictures and {len(prompts)} prompts; accepted: equally many")
    last = _last(model)
    width = last.in_features
    features, scores = np.zeros((len(images), width)), np.zeros(len(images))
    notices, levels = Notices(), [model.config.noise_level]
    with scoring_mode(model, model.backbone), _heard(last) as heard:
        batches = encoded_batches("last layer", model.backbone, images, prompts, model.buckets, batch_size, notices)
        for batch in batches:
            heard.clear()
            noise = common_noise(batch.latents, seed)
            found = scores_of_groups(model.backbone, model.head, batch.latents, batch.conditioning, [levels], noise)
            features[batch.rows] = _averaged(heard, len(batch.rows))
            scores[batch.rows] = model.main_of(found[:, 0]).float().cpu().numpy()
    notices.say("last layer", stacklevel=2)
    main = model.config.names.index(model.config.main)
    weights = last.weight.detach().float().cpu().numpy()[main].astype(np.float64)
    bias = 0.0 if last.bias is None else float(last.bias.detach()[main])
    _check(features @ weights + bias, scores)
    return LastLayer(features, weights, scores)


def _last(model: LatentRewardModel) -> nn.Linear:
    """The only layer of the head with one output a score."""
    linear = [layer for layer in model.head.children() if isinstance(layer, nn.Linear)]
    found = [layer for layer in linear if layer.out_features == model.head.count]
    if len(found) != 1:
        raise DinaError(
            f"last layer: a head {type(model.head).__name__} has {len(found)} layers that give {model.head.count} "
            "numbers; accepted: a head whose last layer gives the score, such as qformer"
        )
    return found[0]


@contextmanager
def _heard(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """What a layer is given while the block runs."""
    heard: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, given: heard.append(given[0].detach()))
    try:
        yield heard
    finally:
        handle.remove()


def _averaged(heard: Sequence[Tensor], rows: int) -> Float[np.ndarray, "rows features"]:
    """One vector a picture: the mean over whatever stands between."""
    if len(heard) != 1 or heard[0].shape[0] != rows:
        raise DinaError(f"last layer: was called {len(heard)} times for {rows} pictures; accepted: once for all")
    flat = heard[0].float().reshape(rows, -1, heard[0].shape[-1]).mean(dim=1)
    return flat.cpu().numpy().astype(np.float64)


def _check(linear: Float[np.ndarray, " pictures"], scores: Float[np.ndarray, " pictures"]) -> None:
    off = np.abs(linear - scores)
    wrong = off > _TOLERANCE * np.maximum(1.0, np.abs(scores))
    if bool(wrong.any()) or not bool(np.isfinite(scores).all()):
        raise DinaError(
            f"last layer: {int(wrong.sum())} of {len(scores)} scores are not linear in what it reads (off by up to "
            f"{float(off.max()):.3g}); accepted: a head whose last layer gives the score"
        )
