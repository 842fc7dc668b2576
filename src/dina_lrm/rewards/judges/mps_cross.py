"""The cross-attention tower of MPS: image tokens read the words that a condition lets through.

    x <- x + A(x, words; mask) + FF(x)        A: many queries, one key and value;  FF: SwiGLU
    x <- x + S(x) + FF(x)                     S: self attention, one key and value, rotary positions

Both parts of a layer read the same normalised x, side by side. Names and shapes are those of the published weights.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ScaleNorm(nn.Module):
    """A layer norm whose shift is zero: published as a buffer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias: Tensor
        self.register_buffer("bias", torch.zeros(width))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Normalise over the last axis."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias)


class SwiGLU(nn.Module):
    """The first half times the SiLU of the second."""

    def forward(self, x: Float[Tensor, "*batch doubled"]) -> Float[Tensor, "*batch halved"]:
        """Half as wide."""
        x, gate = x.chunk(2, dim=-1)
        return F.silu(gate) * x


class Residual(nn.Module):
    """x + fn(x, ...); the published names have an `fn` here."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor, *rest: Tensor) -> Tensor:
        """The sum."""
        return x + self.fn(x, *rest)


class ReadWords(nn.Module):
    """Cross attention with a feed-forward beside it."""

    def __init__(self, width: int, heads: int, head_width: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ScaleNorm(width)
        self.to_q = nn.Linear(width, heads * head_width, bias=False)
        self.to_kv = nn.Linear(width, 2 * head_width, bias=False)
        self.to_out = nn.Linear(heads * head_width, width, bias=False)
        self.ff = nn.Sequential(nn.Linear(width, 2 * inner, bias=False), SwiGLU(), nn.Linear(inner, width, bias=False))

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        words: Float[Tensor, "batch words width"],
        mask: Float[Tensor, "batch words"],
    ) -> Float[Tensor, "batch tokens width"]:
        """`mask` is 0 at words that are read and minus infinity elsewhere."""
        x = self.norm(x)
        q = rearrange(self.to_q(x), "b n (h d) -> b h n d", h=self.heads)
        k, v = (part[:, None].expand(-1, self.heads, -1, -1) for part in self.to_kv(words).chunk(2, dim=-1))
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.to_out(rearrange(read, "b h n d -> b n (h d)")) + self.ff(x)


class ReadImage(nn.Module):
    """Self attention with rotary positions and a feed-forward beside it, all projections in one matrix."""

    def __init__(self, width: int, heads: int, head_width: int, inner: int) -> None:
        super().__init__()
        self.heads, self.head_width, self.inner = heads, head_width, inner
        self.norm = ScaleNorm(width)
        self.fused_attn_ff_proj = nn.Linear(width, sum(self._parts()), bias=False)
        self.attn_out = nn.Linear(heads * head_width, width, bias=False)
        self.ff_out = nn.Sequential(SwiGLU(), nn.Linear(inner, width, bias=False))

    def forward(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch tokens width"]:
        """Return what is added to x."""
        q, k, v, ff = self.fused_attn_ff_proj(self.norm(x)).split(self._parts(), dim=-1)
        q = rotated(rearrange(q, "b n (h d) -> b h n d", h=self.heads))
        k, v = (part[:, None].expand(-1, self.heads, -1, -1) for part in (rotated(k), v))
        read = F.scaled_dot_product_attention(q, k, v)
        return self.attn_out(rearrange(read, "b h n d -> b n (h d)")) + self.ff_out(ff)

    def _parts(self) -> tuple[int, int, int, int]:
        return self.heads * self.head_width, self.head_width, self.head_width, 2 * self.inner


def rotated(x: Float[Tensor, "*batch tokens width"]) -> Float[Tensor, "*batch tokens width"]:
    """Rotary positions (arXiv 2104.09864): pairs (i, i + width / 2) turned by token / 10000^(2 i / width)."""
    tokens, width = x.shape[-2:]
    frequency = 1.0 / 10_000 ** (torch.arange(0, width, 2, device=x.device).float() / width)
    angle = torch.outer(torch.arange(tokens, device=x.device).float(), frequency)
    cos, sin = (torch.cat([part, part], dim=-1).to(x.dtype) for part in (angle.cos(), angle.sin()))
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class CrossTower(nn.Module):
    """Layers of both parts."""

    def __init__(self, width: int, layers: int, heads: int, head_width: int, inner: int) -> None:
        super().__init__()
        shape = (width, heads, head_width, inner)
        self.layers = nn.ModuleList(
            nn.ModuleList([Residual(ReadWords(*shape)), Residual(ReadImage(*shape))]) for _ in range(layers)
        )

    def forward(
        self,
        image: Float[Tensor, "batch tokens width"],
        words: Float[Tensor, "batch words width"],
        mask: Float[Tensor, "batch words"],
    ) -> Float[Tensor, "batch tokens width"]:
        """The image's tokens after all layers."""
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            read_words, read_image = layer
            image = read_image(read_words(image, words, mask))
        return image
