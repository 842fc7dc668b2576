"""Heads: the features of a backbone become one scalar score."""

from dina_lrm.heads.base import Head, HeadTokens
from dina_lrm.heads.pooled import PooledConfig, PooledHead
from dina_lrm.heads.qformer import QFormerConfig, QFormerHead

__all__ = ["Head", "HeadTokens", "PooledConfig", "PooledHead", "QFormerConfig", "QFormerHead"]
