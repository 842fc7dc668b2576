"""Bring maps of several resolutions to one grid, so that the query transformer can lay them side by side.

All maps are brought to the grid of the coarsest one by averaging areas, which for the nested grids of a U-Net are exact
squares. The number of tokens, and with it the cost of attention, stays that of the coarsest map; tap fewer blocks to
read finer. Maps of one size, as all transformers have, pass through untouched.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from dina_lrm.typed import DinaError


def on_one_grid(visual: Sequence[Tensor], grids: Sequence[tuple[int, int]] | None) -> list[Tensor]:
    """(batch, tokens, width) of each tap, all with the tokens of the coarsest grid.

    Raises ValueError for taps of different lengths whose grids are not known.
    """
    if len({tokens.shape[1] for tokens in visual}) == 1:
        return list(visual)
    if grids is None:
        lengths = [tokens.shape[1] for tokens in visual]
        raise DinaError(f"head: visual taps have {lengths} tokens and no grids; accepted: equal lengths, or grids")
    coarsest = min(grids, key=lambda grid: grid[0] * grid[1])
    return [_pooled(tokens, grid, coarsest) for tokens, grid in zip(visual, grids, strict=True)]


def _pooled(tokens: Tensor, grid: tuple[int, int], coarsest: tuple[int, int]) -> Tensor:
    if grid == coarsest:
        return tokens
    maps = rearrange(tokens, "b (h w) c -> b c h w", h=grid[0])
    return rearrange(F.adaptive_avg_pool2d(maps, coarsest), "b c h w -> b (h w) c")
