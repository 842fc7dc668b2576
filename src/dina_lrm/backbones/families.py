"""The table of model families, and which of them a pipeline folder belongs to. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from dina_lrm.runs.imports import collector_at_rest
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


@dataclass(frozen=True)
class Family:
    """Where a family's class is, and the diffusers pipelines that it reads."""

    module: str
    class_name: str
    pipelines: tuple[str, ...]
    masks_text: bool = False
    """Whether padding of prompts is masked everywhere: it means nothing to the model, and a head has to be told to pass
    over it."""
    drops_padding: bool = False
    """Whether padding at the end of a prompt, which it attends to, may be left out instead (`prompt_padding`)."""
    widens_short: bool = False
    """Whether states of its short text encoders stand before those of a long one, filled with zeros to their width."""

    def load_class(self) -> type[Backbone]:
        """Import the class, and with it diffusers."""
        with collector_at_rest():
            found: type[Backbone] = getattr(import_module(self.module), self.class_name)
        return found


FAMILIES: dict[str, Family] = {
    "sd3": Family(
        "dina_lrm.backbones.sd3",
        "SD3Backbone",
        ("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline"),
        drops_padding=True,
        widens_short=True,
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
        "dina_lrm.backbones.flux",
        "FluxBackbone",
        ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline"),
        drops_padding=True,
    ),
    "z-image": Family(
        "dina_lrm.backbones.z_image",
        "ZImageBackbone",
        ("ZImagePipeline", "ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
        masks_text=True,
    ),
    "sana": Family("dina_lrm.backbones.sana", "SanaBackbone", ("SanaPipeline",), masks_text=True),
    "qwen-image": Family(
        "dina_lrm.backbones.qwen_image",
        "QwenImageBackbone",
        ("QwenImagePipeline", "QwenImageImg2ImgPipeline", "QwenImageInpaintPipeline"),
        masks_text=True,
    ),
}


def family_of_folder(folder: Path) -> str:
    """The family that reads the diffusers pipeline stored in `folder`; ValueError when there is none."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise DinaError(f"{folder}: no model_index.json, which every diffusers pipeline folder has")
    name = str(read_json_object(index).get("_class_name"))
    return family_of_names([name], f"{index}: got a {name}")


def family_of_names(names: Sequence[str], given: str) -> str:
    """The family that reads a pipeline of one of these class names; ValueError, beginning with `given`, for none."""
    for family, entry in FAMILIES.items():
        if any(name in entry.pipelines for name in names):
            return family
    raise DinaError(f"{given}, {supported()}")


def supported() -> str:
    """The families and their pipelines, in a sentence."""
    rows = "; ".join(f"{name} ({', '.join(family.pipelines)})" for name, family in FAMILIES.items())
    return f"supported families are {rows}. CONTRIBUTING.md says how to add one"
