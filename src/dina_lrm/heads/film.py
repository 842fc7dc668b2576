r"""FiLM adapter of one tapped layer: the features are modulated by the noise level, then narrowed.

    scale, shift = MLP(temb)          x' = x (1 + scale) + shift + layer_embed          out = W x'

`temb` is the backbone's own time embedding. The last layer of the MLP starts at zero, so that a fresh adapter does not
modulate. For a backbone without a time embedding (width 0) there is no MLP: scale and shift are zero throughout, and
the noise level is known from the features alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FiLMAdapter(nn.Module):
    """Features (batch, tokens, feature_width) -> (batch, tokens, out_width), conditioned on the time embedding."""

    def __init__(
        self, feature_width: int, time_width: int, width: int, out_width: int, use_proj_in: bool = False
    ) -> None:
        super().__init__()
        needs_projection = use_proj_in or feature_width != width
        self.proj_in = nn.Linear(feature_width, width) if needs_projection else nn.Identity()
        self.layer_embed = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.cond_mlp = _modulation(time_width, width) if time_width else None
        self.proj = nn.Linear(width, out_width)

    def forward(
        self, x: Float[Tensor, "batch tokens feature_width"], time_embedding: Float[Tensor, "batch time_width"]
    ) -> Float[Tensor, "batch tokens out_width"]:
        """Modulate by the time embedding, mark the layer, narrow."""
        x = self.proj_in(x)
        if self.cond_mlp is None:
            return self.proj(x + self.layer_embed)
        scale, shift = self.cond_mlp(time_embedding).unsqueeze(1).chunk(2, dim=-1)
        return self.proj(x * (1 + scale) + shift + self.layer_embed)


def _modulation(time_width: int, width: int) -> nn.Sequential:
    style = nn.Linear(2 * width, 2 * width)
    nn.init.zeros_(style.weight)
    nn.init.zeros_(style.bias)
    return nn.Sequential(nn.Linear(time_width, 2 * width), nn.SiLU(), style)
