"""The backbone that encodes comparisons, from the name of a generator alone: depth and taps do not matter to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.registry import load_backbone
from dina_lrm.backbones.settings import BackboneConfig, EncoderSettings, PromptPadding, T5Weights
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def encoding_backbone(
    generator: str,
    prompt_length: int | None = None,
    revision: str | None = None,
    device: torch.device | str = "cpu",
    prompt_padding: PromptPadding = "max",
    dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights = "stored",
) -> Backbone:
    """The shallowest backbone of a generator ("synthetic", a folder or a hub id), for its encoders.

    `prompt_length` None is `PROMPT_LENGTH` for a generator with a long text encoder, else 0. `dtype` is that of
    computing: by default float32 on the CPU, else what the device multiplies natively. `encoders` says how long they
    stay in memory, by default as long as all of them fit.
    """
    anatomy = anatomy_of(generator, revision)
    length = anatomy.prompt_length if prompt_length is None else prompt_length
    config = BackboneConfig(
        anatomy.family,
        generator,
        depth=1,
        visual_taps=(1,),
        prompt_length=length,
        revision=revision,
        prompt_padding=prompt_padding,
        t5_weights=t5_weights,
    )
    # As reward models are loaded: float32 on the CPU, so that what is encoded does not depend on the batch it is in.
    if dtype is None and torch.device(device).type == "cpu":
        dtype = torch.float32
    backbone = load_backbone(config, device=device, dtype=dtype)
    backbone.hold_encoders(encoders or EncoderSettings())
    return backbone


def native_resolution(backbone: Backbone) -> int:
    """Side in pixels of the square images that a generator was made for.

    Raises:
        ValueError: the generator's configurations do not say.
    """
    resolution = anatomy_of(backbone.config.pretrained, backbone.config.revision).resolution
    if resolution is None:
        raise DinaError(
            f"{backbone.config.pretrained} does not say for which image size it was made; give a resolution "
            "(--resolution PIXELS)"
        )
    return resolution
