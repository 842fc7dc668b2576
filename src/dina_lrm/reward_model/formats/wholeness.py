"""Whether a stored model is whole, without the generator that it reads.

The widths of the head's features are taken from its own tensors: that they are the generator's, and that its LoRA is of
the generator's modules, is seen when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from dina_lrm.backbones.adapter_files import WEIGHTS_FILE, read_lora_folder
from dina_lrm.heads.base import Head
from dina_lrm.heads.pooled import PooledHead
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import PooledConfig, QFormerConfig, check_one_score
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.stored import StoredModel, check_strictly
from dina_lrm.runs.tensor_files import opened_tensors
from dina_lrm.typed import DinaError

_META: Final = torch.device("meta")


def check_whole(stored: StoredModel) -> None:
    """Raise ValueError naming a file that cannot be read, and any tensor of head or LoRA that does not fit the others.

    FileNotFoundError names a missing file.
    """
    check_head(stored.config, stored.head)
    if stored.lora is not None:
        _check_lora(stored.lora)
    for file in sorted(stored.text_encoders.glob("text_encoder*/*.safetensors")) if stored.text_encoders else ():
        with opened_tensors(file):
            pass


def _check_lora(folder: Path) -> None:
    """Both factors of every update are there, and of one rank."""
    _, tensors = read_lora_folder(folder)
    for name, tensor in tensors.items():
        other = name.replace(".lora_A.", ".lora_B.") if ".lora_A." in name else name.replace(".lora_B.", ".lora_A.")
        if other not in tensors:
            raise DinaError(f"{folder / WEIGHTS_FILE}: holds {name}, and not {other}; accepted: both factors")
        if ".lora_B." in name and tensor.shape[1:2] != tensors[other].shape[:1]:
            raise DinaError(
                f"{folder / WEIGHTS_FILE}: {name} has shape {tuple(tensor.shape)}; accepted: that of {other}"
            )


def check_head(config: RewardModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming any tensor that the head lacks, has too many, or has in a shape that fits no other."""
    if isinstance(config.head, PooledConfig):
        check_one_score(len(config.names))
    with _META:
        head = _pooled(config.head, tensors) if isinstance(config.head, PooledConfig) else _qformer(config, tensors)
    check_strictly("head", head.state_dict(), tensors)


def _pooled(config: PooledConfig, tensors: Mapping[str, Tensor]) -> Head:
    width = config.width or _columns(tensors, "text_projection.weight", 1)
    pooled = _columns(tensors, "text_projection.weight", width)
    return PooledHead(config, (_columns(tensors, "visual_projection.weight", width),), pooled)


def _qformer(config: RewardModelConfig, tensors: Mapping[str, Tensor]) -> Head:
    assert isinstance(config.head, QFormerConfig)
    width = config.head.width or _columns(tensors, "query_tokens", 4 * config.head.attention_heads)

    def widths(stream: str, taps: int) -> list[int]:
        # A tap of the queries' own width is read without a projection
        return [_columns(tensors, f"layer_adapters_{stream}.{tap}.proj_in.weight", width) for tap in range(taps)]

    time = _columns(tensors, "layer_adapters_visual.0.cond_mlp.0.weight", 0)
    visual, text = widths("visual", len(config.backbone.visual_taps)), widths("text", len(config.backbone.text_taps))
    return QFormerHead(config.head, visual, text, time, len(config.names))


def _columns(tensors: Mapping[str, Tensor], name: str, otherwise: int) -> int:
    """The last size of a tensor; `otherwise` where there is none of that name."""
    found = tensors.get(name)
    return found.shape[-1] if found is not None and found.ndim > 1 else otherwise
