"""The table of model families, and how a backbone of one of them is made."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.locate import locate_generator
from dina_lrm.precision import preferred_dtype
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from dina_lrm.backbones.base import Backbone


@dataclass(frozen=True)
class Family:
    """Where a family's class is, and the diffusers pipelines that it reads."""

    module: str
    class_name: str
    pipelines: tuple[str, ...]

    def load_class(self) -> "type[Backbone]":
        """Import the class, and with it diffusers."""
        return getattr(import_module(self.module), self.class_name)


FAMILIES: dict[str, Family] = {
    "sd3": Family(
        "dina_lrm.backbones.sd3",
        "SD3Backbone",
        ("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"),
    ),
    "stable-diffusion": Family(
        "dina_lrm.backbones.stable_diffusion",
        "StableDiffusionBackbone",
        (
            *("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
            *("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
        ),
    ),
    "flux": Family(
        "dina_lrm.backbones.flux", "FluxBackbone", ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
    ),
    "z-image": Family(
        "dina_lrm.backbones.z_image",
        "ZImageBackbone",
        ("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
    ),
    "sana": Family("dina_lrm.backbones.sana", "SanaBackbone", ("SanaPipeline",)),
    "qwen-image": Family(
        "dina_lrm.backbones.qwen_image",
        "QwenImageBackbone",
        ("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline"),
    ),
}


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
        raise DinaError(f"backbone family: got {config.family!r}, {_supported()}")
    backbone_class = FAMILIES[config.family].load_class()
    if pipeline is None:
        place = torch.device(device or "cpu")
        folder = locate_generator(config.pretrained, config.revision)
        _expect_family(config, folder)
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
            f"{found!r}; accepted: family {found!r} (--model.family {found}) with depth and taps for it"
        )


def family_of_pipeline(pipeline: "DiffusionPipeline") -> str:
    """The family that reads `pipeline`; ValueError when there is none."""
    names = [parent.__name__ for parent in type(pipeline).__mro__]
    return _family_of_names(names, f"pipeline: got a {names[0]}")


def family_of_folder(folder: Path) -> str:
    """The family that reads the diffusers pipeline stored in `folder`; ValueError when there is none."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise DinaError(f"{folder}: no model_index.json, which every diffusers pipeline folder has")
    name = str(read_json_object(index).get("_class_name"))
    return _family_of_names([name], f"{index}: got a {name}")


def _family_of_names(names: list[str], given: str) -> str:
    for family, entry in FAMILIES.items():
        if any(name in entry.pipelines for name in names):
            return family
    raise DinaError(f"{given}, {_supported()}")


def _supported() -> str:
    rows = "; ".join(f"{name} ({', '.join(family.pipelines)})" for name, family in FAMILIES.items())
    return f"supported families are {rows}. CONTRIBUTING.md says how to add one"
