"""The table of head kinds: how a head is told from plain values, and how one is made for a backbone."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from dina_lrm.backbones.base import Backbone
from dina_lrm.heads.base import Head
from dina_lrm.heads.pooled import PooledConfig, PooledHead
from dina_lrm.heads.qformer import QFormerConfig, QFormerHead
from dina_lrm.typed import from_plain, to_plain

HeadConfig: TypeAlias = QFormerConfig | PooledConfig

HEAD_KINDS: dict[str, type[QFormerConfig] | type[PooledConfig]] = {"qformer": QFormerConfig, "pooled": PooledConfig}
"""The paper's query transformer and LRM's cosine. A new head is a file, a row here and a line of `build_head`."""


def build_head(config: HeadConfig, backbone: Backbone) -> Head:
    """A fresh head for the backbone's features, its weights from the global generator."""
    if isinstance(config, PooledConfig):
        return PooledHead(config, backbone.visual_widths, backbone.pooled_width)
    return QFormerHead(config, backbone.visual_widths, backbone.text_widths, backbone.time_embedding_width)


def head_to_dict(config: HeadConfig) -> dict[str, Any]:
    """The head's kind and all its fields, ready for JSON."""
    kind = next(name for name, kind in HEAD_KINDS.items() if isinstance(config, kind))
    return {"kind": kind, **to_plain(config)}


def head_from_dict(values: Mapping[str, Any], where: str = "head") -> HeadConfig:
    """What `head_to_dict` described; without a kind it is the query transformer, as the first folders have it."""
    kind = values.get("kind", "qformer")
    if not isinstance(kind, str) or kind not in HEAD_KINDS:
        raise ValueError(f"{where}.kind: got {kind!r}, accepted: {', '.join(HEAD_KINDS)}")
    return from_plain(HEAD_KINDS[kind], {key: value for key, value in values.items() if key != "kind"}, where)
