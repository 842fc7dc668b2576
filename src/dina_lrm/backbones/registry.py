"""How a backbone of one of the families is made, standalone or reading a loaded pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.backbones.families import FAMILIES, Family, family_of_folder, family_of_names, supported
from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.model_folders import one_load_at_a_time
from dina_lrm.precision import preferred_dtype
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from dina_lrm.backbones.base import Backbone

__all__ = ["FAMILIES", "Family", "family_of_folder", "family_of_pipeline", "load_backbone"]


def load_backbone(
    config: BackboneConfig,
    pipeline: "DiffusionPipeline | None" = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> "Backbone":
    """The backbone of `config`: standalone from its pretrained weights, or reading a loaded `pipeline`.

    Standalone, `device` defaults to the CPU and `dtype` to what computes best there. A pipeline decides both itself.
    Raises ValueError for an unknown family, a folder or a pipeline of another one, and a device or dtype beside a
    pipeline.
    """
    if config.family not in FAMILIES:
        raise DinaError(f"backbone family: got {config.family!r}, {supported()}")
    backbone_class = FAMILIES[config.family].load_class()
    if pipeline is None:
        place = torch.device(device or "cpu")
        folder = generator_folder(config.pretrained, config.revision)
        _expect_family(config, folder)
        with one_load_at_a_time():
            return backbone_class.from_folder(config, folder, place, dtype or preferred_dtype(place))
    if family_of_pipeline(pipeline) != config.family:
        raise DinaError(
            f"pipeline: got a {type(pipeline).__name__} for a backbone of family {config.family!r}; accepted: one of "
            "that family. A reward of another family reads pictures, as image:MODEL"
        )
    backbone = backbone_class.from_pipeline(config, pipeline)
    backbone.watch_shared(pipeline)
    if dtype not in (None, backbone.dtype):
        raise DinaError(f"dtype: got {dtype}, but the weights shared with the pipeline are {backbone.dtype}")
    if device is not None and torch.device(device).type != backbone.device.type:
        raise DinaError(f"device: got {device}, but the pipeline runs on {backbone.device}")
    return backbone


def _expect_family(config: BackboneConfig, folder: Path) -> None:
    """ValueError for the folder of another family: its tensors have other names, and depth and taps mean others."""
    found = family_of_folder(folder)
    if found != config.family:
        raise DinaError(
            f"backbone family: got {config.family!r} for {config.pretrained}, whose model_index.json is of the family "
            f"{found!r}; accepted: the recipe own (or no recipe), which reads family, depth and taps from the folder; "
            f"or family {found!r} (--model.family {found}) with depth and taps for it"
        )


def family_of_pipeline(pipeline: "DiffusionPipeline") -> str:
    """The family that reads `pipeline`; ValueError when there is none."""
    names = [parent.__name__ for parent in type(pipeline).__mro__]
    return family_of_names(names, f"pipeline: got a {names[0]}")
