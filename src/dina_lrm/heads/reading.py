"""Read what a head needs: the features of the prompt and, for heads that ask, those of the empty prompt beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.heads.base import Head

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def read_features(
    backbone: Backbone,
    head: Head,
    noisy_latents: Float[Tensor, "batch channels height width"],
    noise_level: Float[Tensor, " batch"],
    conditioning: Conditioning,
) -> Features:
    """Features of `noisy_latents` at their noise levels; with the empty prompt the backbone runs twice."""
    features = backbone.features(noisy_latents, noise_level, conditioning)
    if not head.reads_unconditional:
        return features
    empty = backbone.empty_conditioning()[[0] * len(noisy_latents)]
    return replace(features, unconditional=backbone.features(noisy_latents, noise_level, empty).visual)
