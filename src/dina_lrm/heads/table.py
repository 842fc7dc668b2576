"""Heads by kind, made for a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dina_lrm.heads.base import Head
from dina_lrm.heads.pooled import PooledHead
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import HeadConfig, PooledConfig, check_one_score

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


def build_head(config: HeadConfig, backbone: Backbone, scores: int = 1) -> Head:
    """A fresh head of so many scores for the backbone's features, its weights from the global generator."""
    if isinstance(config, PooledConfig):
        check_one_score(scores)
        return PooledHead(config, backbone.visual_widths, backbone.pooled_width)
    return QFormerHead(config, backbone.visual_widths, backbone.text_widths, backbone.time_embedding_width, scores)
