"""Whether the tensors of a stored head are those of its configuration, without the generator that it reads.

The widths of features are taken from the tensors themselves: that they are the generator's is seen when the model is
loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from dina_lrm.heads.base import Head
from dina_lrm.heads.pooled import PooledHead
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import PooledConfig, QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.formats.stored import check_strictly

_META: Final = torch.device("meta")


def check_head(config: RewardModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming any tensor that the head lacks, has too many, or has in a shape that fits no other."""
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
    return QFormerHead(config.head, visual, text, time)


def _columns(tensors: Mapping[str, Tensor], name: str, otherwise: int) -> int:
    """The last size of a tensor; `otherwise` where there is none of that name."""
    found = tensors.get(name)
    return found.shape[-1] if found is not None and found.ndim > 1 else otherwise
