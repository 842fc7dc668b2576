"""A generator's LoRA in the layouts that other tools read.

    kohya     one file of lora_unet_N.lora_down.weight, .lora_up.weight and .alpha: sd-scripts, ComfyUI, web UIs
    comfyui   what ComfyUI reads: kohya's names of a U-Net; of a transformer those of diffusers, with an alpha

N is a module's name with "_" for "."; FLUX has the names of its published code there, in which queries, keys and values
are one layer: three updates of ranks r become one of rank 3 r, with blocks of zeros.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.lora_file import Update, read_lora
from dina_lrm.backbones.lora_names import ModuleNames, kohya_name
from dina_lrm.runs.files import save_tensors
from dina_lrm.typed import DinaError

Layout = Literal["kohya", "comfyui"]
_READ: Final[Mapping[Layout, tuple[str, ...]]] = {
    "kohya": ("stable-diffusion", "flux"),
    "comfyui": ("stable-diffusion", "sd3", "flux", "z-image", "qwen-image"),
}
"""Families of generators whose LoRAs the tools read in that layout."""
_FLUX_JOINED: Final[Sequence[tuple[str, str, tuple[str, ...]]]] = (
    ("transformer_blocks", "double_blocks_{}_img_attn_qkv", ("attn.to_q", "attn.to_k", "attn.to_v")),
    ("transformer_blocks", "double_blocks_{}_txt_attn_qkv", ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
    ("transformer_blocks", "double_blocks_{}_img_attn_proj", ("attn.to_out.0",)),
    ("transformer_blocks", "double_blocks_{}_txt_attn_proj", ("attn.to_add_out",)),
    ("single_transformer_blocks", "single_blocks_{}_linear1", ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")),
)


def check_export(layout: Layout, family: str) -> None:
    """ValueError for a layout in which no tool reads the LoRAs of that family."""
    if family not in _READ[layout]:
        read = ", ".join(_READ[layout])
        raise DinaError(f"export {layout}: got a generator of the family {family!r}; accepted: {read}")


def write_export(lora: Path, file: Path, layout: Layout, backbone: Backbone, pipeline: DiffusionPipeline) -> None:
    """Write a stored LoRA of a pipeline, which `backbone` reads, as a file in `layout`.

    Raises ValueError as `exported` and `read_lora` do.
    """
    model = backbone.transformer
    updates = read_lora(lora, model, pipeline).updates
    save_tensors(file, exported(updates, layout, backbone.config.family, model), {"format": "pt"})


def exported(updates: Mapping[str, Update], layout: Layout, family: str, model: nn.Module) -> dict[str, Tensor]:
    """The tensors of a file in `layout`: factors in float32, an alpha beside each pair that makes their scale 1.

    Raises ValueError as `check_export`, and for an update of a module that the layout has no name for.
    """
    check_export(layout, family)
    if family == "stable-diffusion":
        return _kohya({kohya_name(name): update for name, update in updates.items()})
    if layout == "kohya":
        return _kohya(_flux_joined(updates, ModuleNames(model)))
    named = {f"transformer.{name}.lora_A.weight": update.down for name, update in updates.items()}
    named |= {f"transformer.{name}.lora_B.weight": update.up for name, update in updates.items()}
    return named | {f"transformer.{name}.alpha": torch.tensor(float(u.rank)) for name, u in updates.items()}


def _kohya(updates: Mapping[str, Update]) -> dict[str, Tensor]:
    tensors = {}
    for name, update in updates.items():
        tensors[f"lora_unet_{name}.lora_down.weight"] = update.down
        tensors[f"lora_unet_{name}.lora_up.weight"] = update.up
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(float(update.rank))
    return tensors


def _flux_joined(updates: Mapping[str, Update], modules: ModuleNames) -> dict[str, Update]:
    left, joined = dict(updates), {}
    blocks = sorted({match[0] for name in updates if (match := re.match(r"\w+\.\d+", name))})
    for block in blocks:
        kind, number = block.split(".")
        for of, name, parts in _FLUX_JOINED:
            members = [f"{block}.{part}" for part in parts]
            if kind == of and any(member in left for member in members):
                widths = [_outputs(modules.layers[member]) for member in members]
                joined[name.format(number)] = _side_by_side([left.pop(member, None) for member in members], widths)
    if left:
        raise DinaError(f"export kohya: no name for an update of {next(iter(left))}; accepted: attention layers")
    return joined


def _side_by_side(parts: Sequence[Update | None], widths: Sequence[int]) -> Update:
    """One update of a layer that computes the layers of `parts` at once, of which some have none."""
    given = [part for part in parts if part is not None]
    down = torch.cat([part.down for part in given])
    up, column, row = torch.zeros(sum(widths), len(down)), 0, 0
    for part, width in zip(parts, widths, strict=True):
        if part is not None:
            up[row : row + width, column : column + part.rank] = part.up
            column += part.rank
        row += width
    return Update(down, up)


def _outputs(layer: nn.Module) -> int:
    assert isinstance(layer, nn.Linear)
    return layer.out_features
