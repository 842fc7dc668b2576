r"""The query transformer of the paper (section 4.2): learned queries read the tokens of tapped layers.

    V = Linear(concat_j FiLM_j(visual_j, temb)),   T = Linear(concat_j FiLM_j(text_j, temb))
    Q <- query_tokens
    Q <- Q + gated cross attention(Q; V, T)
    Q <- Q + cross attention(Q; V)
    Q <- Q + FFN(Q)
    scores = mean over queries of a linear map, which has a row for each score
             (+ a linear map of the taps' statistics, where the configuration says so)

Parameter names are those of the weights released with the paper, so that their state dict loads as it is.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Features
from dina_lrm.heads.base import Head, HeadTokens
from dina_lrm.heads.cross_attention import CrossAttention
from dina_lrm.heads.film import FiLMAdapter
from dina_lrm.heads.grids import on_one_grid
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.heads.statistics import statistics_count, tap_statistics
from dina_lrm.typed import DinaError


class QFormerHead(Head):
    """Timestep-conditioned query transformer over visual and text taps."""

    def __init__(
        self,
        config: QFormerConfig,
        visual_widths: Sequence[int],
        text_widths: Sequence[int],
        time_embedding_width: int,
        scores: int = 1,
    ) -> None:
        super().__init__()
        if not visual_widths:
            raise DinaError("head: no visual taps; at least one visual layer must be tapped")
        if config.use_text and not text_widths:
            raise DinaError("head: use_text=True but the backbone taps no text layer; tap one or set use_text=False")
        self.config = config
        width = config.width if config.width is not None else visual_widths[0]
        config.check_width(width)
        text_widths = text_widths if config.use_text else ()
        narrow = width // 4

        def adapters(widths: Sequence[int]) -> nn.ModuleList:
            films = (FiLMAdapter(w, time_embedding_width, width, narrow, config.use_proj_in) for w in widths)
            return nn.ModuleList(films)

        self.query_tokens = nn.Parameter(torch.randn(1, config.queries, width) * 0.02)
        self.layer_adapters_visual = adapters(visual_widths)
        self.layer_adapters_text = adapters(text_widths)
        self.agg_visual = nn.Linear(len(visual_widths) * narrow, width)
        self.agg_text = nn.Linear(len(text_widths) * narrow, width) if text_widths else None
        heads, dropout = config.attention_heads, config.dropout
        self.attn1 = CrossAttention(width, heads, use_text=bool(text_widths), gated=True, dropout=dropout)
        self.attn2 = CrossAttention(width, heads, use_text=False, gated=False, dropout=dropout)
        self.norm_ff = nn.RMSNorm(width)
        expand, contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.ff = nn.Sequential(expand, nn.GELU(), contract, nn.Dropout(dropout))
        self.head = nn.Linear(width, scores)
        self.statistics = (
            _from_zero(statistics_count(visual_widths, text_widths), scores) if config.statistics else None
        )
        shape = () if scores == 1 else (scores,)
        self.eta3 = nn.Parameter(torch.zeros(shape)) if config.logistic else None
        self.eta4 = nn.Parameter(torch.full(shape, 0.15)) if config.logistic else None

    @property
    def count(self) -> int:
        """A score for each row of the last map."""
        return self.head.out_features

    def tokens(self, features: Features) -> HeadTokens:
        """FiLM-modulate each tap at the level's own time embedding and fuse the taps."""
        # The generator may run in a lower precision than the head, or on its own under autocast.
        dtype = self.query_tokens.dtype
        temb = features.time_embedding.to(dtype)
        maps = on_one_grid(features.visual, features.grids)
        visual = self.agg_visual(_adapted("visual", self.layer_adapters_visual, maps, temb))
        whole = None if self.statistics is None else tap_statistics(features, self.agg_text is not None)
        if self.agg_text is None:
            return HeadTokens(visual, statistics=whole)
        text = self.agg_text(_adapted("text", self.layer_adapters_text, features.text, temb))
        seen = features.text_mask if self.config.mask_text_padding else features.text_there
        return HeadTokens(visual, text, seen, whole)

    def scores(self, tokens: Sequence[HeadTokens]) -> Float[Tensor, "batch scores"]:
        """Run the queries once over the tokens of all given noise levels."""
        context = HeadTokens.cat(tokens)
        queries = self.attn2(self._first_read(context), context.visual)
        queries = queries + self.ff(self.norm_ff(queries))
        scores = self.head(queries).float().mean(dim=1)
        if self.statistics is not None:
            assert context.statistics is not None
            scores = scores + self.statistics(context.statistics.to(self.statistics.weight.dtype)).float()
        if self.eta3 is None or self.eta4 is None:
            return scores
        return 4.0 * torch.sigmoid((scores - self.eta3.float()) / (self.eta4.float().abs() + 1e-6)) - 2.0

    def visual_attention(self, tokens: Sequence[HeadTokens]) -> Float[Tensor, "batch visual_tokens"]:
        """Shares that both blocks read of each visual token, a mean over blocks, attention heads and queries."""
        context = HeadTokens.cat(tokens)
        first = self.attn1.visual_weights(self._queries(context), context.visual)
        second = self.attn2.visual_weights(self._first_read(context), context.visual)
        return ((first + second) / 2).float().mean(dim=(1, 2))

    def _queries(self, context: HeadTokens) -> Tensor:
        return self.query_tokens.expand(len(context.visual), -1, -1)

    def _first_read(self, context: HeadTokens) -> Tensor:
        read: Tensor = self.attn1(self._queries(context), context.visual, context.text, context.text_mask)
        return read


def _adapted(stream: str, adapters: nn.ModuleList, features: Sequence[Tensor], temb: Tensor) -> Tensor:
    if len(features) != len(adapters):
        raise DinaError(f"head: {len(features)} {stream} features given; {len(adapters)} {stream} taps were built")
    return torch.cat([adapter(x.to(temb.dtype), temb) for adapter, x in zip(adapters, features, strict=True)], dim=-1)


def _from_zero(width: int, scores: int) -> nn.Linear:
    """A linear map that says nothing until it has learnt."""
    found = nn.Linear(width, scores, bias=False)
    nn.init.zeros_(found.weight)
    return found
