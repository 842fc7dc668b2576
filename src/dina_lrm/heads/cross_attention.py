"""Cross attention of learned queries to visual and, optionally, text tokens, with token-wise gated values."""

from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


def attend(
    queries: Float[Tensor, "batch queries width"],
    keys: Float[Tensor, "batch tokens width"],
    values: Float[Tensor, "batch tokens width"],
    heads: int,
    mask: Bool[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, "batch queries width"]:
    """Multi-head softmax attention; tokens where `mask` is False are not seen, and seeing none gives zero."""
    q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (queries, keys, values))
    attended = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, None, None, :])
    return rearrange(attended, "b h n d -> b n (h d)")


def attention_weights(
    queries: Float[Tensor, "batch queries width"], keys: Float[Tensor, "batch tokens width"], heads: int
) -> Float[Tensor, "batch heads queries tokens"]:
    """The shares that `attend` takes of each token's value; they sum to one over the tokens."""
    q, k = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (queries, keys))
    return (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)


class CrossAttention(nn.Module):
    """A pre-normalised residual block: queries read visual tokens and text tokens through separate softmaxes, summed.

    With `gated`, each value is multiplied by a scalar in (0, 1) that its own token decides (arXiv 2505.06708).
    """

    def __init__(self, width: int, heads: int, use_text: bool, gated: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm_q = nn.RMSNorm(width)
        self.norm_v = nn.RMSNorm(width)
        self.norm_t = nn.RMSNorm(width) if use_text else None
        self.to_q = nn.Linear(width, width)
        self.to_k_vis = nn.Linear(width, width)
        self.to_v_vis = nn.Linear(width, width)
        self.to_k_text = nn.Linear(width, width) if use_text else None
        self.to_v_text = nn.Linear(width, width) if use_text else None
        self.gate_vis = _gate(width) if gated else None
        self.gate_text = _gate(width) if gated and use_text else None
        self.to_out = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(
        self,
        queries: Float[Tensor, "batch queries width"],
        visual: Float[Tensor, "batch visual_tokens width"],
        text: Float[Tensor, "batch text_tokens width"] | None = None,
        text_mask: Bool[Tensor, "batch text_tokens"] | None = None,
    ) -> Float[Tensor, "batch queries width"]:
        """Queries plus what they read."""
        q = self.to_q(self.norm_q(queries))
        # Under autocast tokens arrive in bfloat16; norms are fused, and exact, in the dtype of their weights
        visual = self.norm_v(visual.to(self.norm_v.weight.dtype))
        read = attend(q, self.to_k_vis(visual), _gated(self.to_v_vis(visual), self.gate_vis, visual), self.heads)
        if text is not None:
            read = read + self._read_text(q, text, text_mask)
        return queries + self.to_out(read)

    def visual_weights(
        self, queries: Float[Tensor, "batch queries width"], visual: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads queries tokens"]:
        """How much each query reads of each visual token, before gates; sums to one over the tokens."""
        seen = self.norm_v(visual.to(self.norm_v.weight.dtype))
        return attention_weights(self.to_q(self.norm_q(queries)), self.to_k_vis(seen), self.heads)

    def _read_text(self, q: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        assert self.norm_t is not None and self.to_k_text is not None and self.to_v_text is not None
        text = self.norm_t(text.to(self.norm_t.weight.dtype))
        values = _gated(self.to_v_text(text), self.gate_text, text)
        return attend(q, self.to_k_text(text), values, self.heads, mask)


def _gate(width: int) -> nn.Sequential:
    last = nn.Linear(width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(width, width), nn.SiLU(), last)


def _gated(values: Tensor, gate: nn.Module | None, tokens: Tensor) -> Tensor:
    return values if gate is None else values * gate(tokens).sigmoid()
