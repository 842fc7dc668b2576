"""What a generator's folder says of itself: its configurations alone are read, no weights. Nothing here imports torch.

| family | blocks | used | taps | text is tapped | side of its pictures |
|---|---|---|---|---|---|
| sd3 | joint blocks | half | 3 | as the image | `sample_size` of the transformer |
| flux | double, then single blocks | the double ones | 4 | as the image | `sample_size` of the autoencoder |
| z-image | layers | 8 of 15 | 4 | as the image | `sample_size` of the autoencoder |
| sana | blocks | half | 3 | at 0, the caption | `sample_size` of the transformer |
| qwen-image | blocks | a third | 4 | as the image | 128 latents |
| stable-diffusion | down blocks and the mid block | all | each | at 0, the prompt | `sample_size` of the U-Net |

Depths are those of the paper where it has one, and of docs/backbones.md elsewhere; taps are spread evenly over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dina_lrm.backbones.families import FAMILIES, family_of_folder
from dina_lrm.backbones.generator_folder import generator_configs
from dina_lrm.backbones.settings import PROMPT_LENGTH, BackboneConfig
from dina_lrm.model_folders import INDEX
from dina_lrm.runs.json_files import read_diffusers_config
from dina_lrm.typed import DinaError

_LATENTS_A_SIDE: Final = 128
"""Of pipelines whose configurations say nothing: 1024 pixels where eight of them are a latent."""


@dataclass(frozen=True)
class Anatomy:
    """A generator's family, size and habits."""

    folder: Path
    family: str
    blocks: int
    """How many blocks it has that a depth counts."""
    width: int
    """Width of the widest visual tap."""
    resolution: int | None
    """Side in pixels of the square pictures that it was made for; None where its files do not say."""
    prompt_length: int
    """Tokens of its long text encoder; 0 where it has none."""
    masks_text: bool
    """Whether padding of prompts means nothing to it, so that a head has to be told to pass over it."""
    flow: bool
    """Whether it is a rectified flow; else it keeps the variance, as Stable Diffusion does."""
    steps: int
    guidance: float
    """How it is sampled where nothing else is said."""

    def backbone(self, pretrained: str, depth: int | None = None, revision: str | None = None) -> BackboneConfig:
        """The backbone that reads it `depth` blocks deep, by default as deep as its family is read usually."""
        family = _FAMILIES[self.family]
        deep = family.depth(self.blocks, _model_config(self.folder, family)) if depth is None else depth
        count = family.taps or deep
        taps = tuple(sorted({-(-deep * n // count) for n in range(1, count + 1)}))
        # The last block of a Stable Diffusion 3 returns no text
        same = tuple(tap for tap in taps if self.family != "sd3" or tap < self.blocks)
        text = same if family.text == "taps" and same else (0,)
        return BackboneConfig(self.family, pretrained, deep, taps, text, self.prompt_length, revision)


@dataclass(frozen=True)
class _FamilyAnatomy:
    """Where the configurations of a family say what."""

    count: Callable[[Mapping[str, Any]], int]
    depth: Callable[[int, Mapping[str, Any]], int]
    """How many of that many blocks are used."""
    width: Callable[[Mapping[str, Any]], int]
    steps: int
    guidance: float
    taps: int | None = 3
    """How many; None is one behind each block."""
    text: Literal["taps", "first"] = "taps"
    component: str = "transformer"
    long_encoder: str | None = "text_encoder"
    """The component without which there is no long text encoder; None where a family has none."""


def _half(blocks: int, config: Mapping[str, Any]) -> int:
    return max(1, blocks // 2)


def _heads(config: Mapping[str, Any]) -> int:
    return int(config["num_attention_heads"]) * int(config["attention_head_dim"])


_FAMILIES: Final[dict[str, _FamilyAnatomy]] = {
    "sd3": _FamilyAnatomy(
        lambda c: c["num_layers"], _half, _heads, steps=40, guidance=4.5, long_encoder="text_encoder_3"
    ),
    "flux": _FamilyAnatomy(
        lambda c: c["num_layers"] + c["num_single_layers"],
        lambda blocks, c: c["num_layers"],
        _heads,
        steps=28,
        guidance=1.0,
        taps=4,
        long_encoder="text_encoder_2",
    ),
    "z-image": _FamilyAnatomy(
        lambda c: c["n_layers"],
        lambda blocks, c: max(1, 8 * blocks // 15),
        lambda c: c["dim"],
        steps=50,
        guidance=5.0,
        taps=4,
    ),
    "sana": _FamilyAnatomy(lambda c: c["num_layers"], _half, _heads, steps=20, guidance=4.5, text="first"),
    "qwen-image": _FamilyAnatomy(
        lambda c: c["num_layers"],
        lambda blocks, c: max(1, blocks // 3),
        _heads,
        steps=50,
        guidance=4.0,
        taps=4,
    ),
    "stable-diffusion": _FamilyAnatomy(
        lambda c: len(c["down_block_types"]) + 1,
        lambda blocks, c: blocks,
        lambda c: max(c["block_out_channels"]),
        steps=50,
        guidance=7.5,
        taps=None,
        text="first",
        component="unet",
        long_encoder=None,
    ),
}


def anatomy_of(pretrained: str | Path, revision: str | None = None) -> Anatomy:
    """What the configurations of a generator say: a bundled name, a folder, or a hub id.

    Of a hub id nothing else is fetched. Raises ValueError for a folder of no family that is read, and naming file and
    key for what is not in it.
    """
    folder = generator_configs(pretrained, revision)
    name = family_of_folder(folder)
    family = _FAMILIES[name]
    config = _model_config(folder, family)
    path = folder / family.component / "config.json"
    try:
        blocks, width = int(family.count(config)), int(family.width(config))
    except (KeyError, TypeError, ValueError) as error:
        raise DinaError(f"{path}: no {error} as the family {name} has; accepted: what diffusers wrote") from error
    if blocks < 1 or width < 1:
        raise DinaError(f"{path}: {blocks} blocks of width {width}; accepted: at least one block")
    return Anatomy(
        folder,
        name,
        blocks,
        width,
        _resolution(folder, name, config),
        _prompt_length(folder, family),
        FAMILIES[name].masks_text,
        name != "stable-diffusion" or _has_flow_scheduler(folder),
        *_sampling(name, family, config),
    )


def _model_config(folder: Path, family: _FamilyAnatomy) -> dict[str, Any]:
    return read_diffusers_config(folder / family.component / "config.json")


def _sampling(name: str, family: _FamilyAnatomy, config: Mapping[str, Any]) -> tuple[int, float]:
    """As its pipeline does where nothing is said; SDXL is guided less than its older kin."""
    larger = name == "stable-diffusion" and config.get("addition_embed_type") == "text_time"
    return family.steps, 5.0 if larger else family.guidance


def _has_flow_scheduler(folder: Path) -> bool:
    path = folder / "scheduler" / "scheduler_config.json"
    scheduler = read_diffusers_config(path) if path.is_file() else {}
    told = scheduler.get("use_flow_sigmas") or scheduler.get("prediction_type") == "flow_prediction"
    return bool(told) or str(scheduler.get("_class_name")).startswith("FlowMatch")


def _prompt_length(folder: Path, family: _FamilyAnatomy) -> int:
    listed = read_diffusers_config(folder / INDEX)
    present = family.long_encoder is not None and listed.get(family.long_encoder) not in (None, [None, None])
    return PROMPT_LENGTH if present else 0


def _resolution(folder: Path, family: str, config: Mapping[str, Any]) -> int | None:
    """Latents a side of the model times pixels a latent, or the side that the autoencoder learned on."""
    path = folder / "vae" / "config.json"
    vae = read_diffusers_config(path) if path.is_file() else {}
    latents, pixels = _side(config.get("sample_size")), _side(vae.get("sample_size"))
    factor = _pixels_per_latent(vae)
    if latents is not None and factor is not None:
        return latents * factor
    if family in ("sd3", "sana", "stable-diffusion"):  # whose models say it themselves, or nothing does
        return None
    if pixels is not None:
        return pixels
    return None if factor is None else _LATENTS_A_SIDE * factor


def _side(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _pixels_per_latent(vae: Mapping[str, Any]) -> int | None:
    widths = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or vae.get("dim_mult")
    return 2 ** (len(widths) - 1) if isinstance(widths, list) and widths else None
