"""The backbone that encodes comparisons, from the name of a generator alone: depth and taps do not matter to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.backbones.registry import family_of_folder, load_backbone
from dina_lrm.backbones.settings import PROMPT_LENGTH, BackboneConfig
from dina_lrm.locate import locate_generator
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def encoding_backbone(
    generator: str,
    prompt_length: int | None = None,
    revision: str | None = None,
    device: torch.device | str = "cpu",
) -> Backbone:
    """The shallowest backbone of a generator ("synthetic", a folder or a hub id), for its encoders.

    `prompt_length` None is `PROMPT_LENGTH` for a generator with a long text encoder (T5), else 0.
    """
    folder = locate_generator(generator, revision)
    if prompt_length is None:
        prompt_length = PROMPT_LENGTH if _has_long_encoder(folder) else 0
    config = BackboneConfig(
        family_of_folder(folder), generator, depth=1, visual_taps=(1,), prompt_length=prompt_length, revision=revision
    )
    # As reward models are loaded: float32 on the CPU, so that what is encoded does not depend on the batch it is in.
    dtype = torch.float32 if torch.device(device).type == "cpu" else None
    return load_backbone(config, device=device, dtype=dtype)


def native_resolution(backbone: Backbone) -> int:
    """Side in pixels of the square images that a generator was made for.

    Raises:
        ValueError: the generator's transformer does not say.
    """
    config = locate_generator(backbone.config.pretrained, backbone.config.revision) / "transformer" / "config.json"
    size = read_json_object(config).get("sample_size") if config.is_file() else None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise DinaError(
            f"{backbone.config.pretrained} does not say for which image size it was made; give a resolution"
        )
    return size * backbone.pixels_per_latent


def _has_long_encoder(folder: Path) -> bool:
    return read_json_object(folder / "model_index.json").get("text_encoder_3") not in (None, [None, None])
