r"""How tapped layers are as a whole, in a few numbers that a score may be linear in.

    s = concat_j [mean, deviation over the tokens of visual_j], concat_j [mean over the tokens of text_j]

What a query transformer reads for one taste leaves out what another taste would ask for: of the bundled model's last
layer nearly all variance is one direction. Votes teach a map of these numbers instead, beside its score.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Features


def statistics_count(visual_widths: Sequence[int], text_widths: Sequence[int]) -> int:
    """How many numbers there are, for taps of such widths."""
    return 2 * sum(visual_widths) + sum(text_widths)


def tap_statistics(features: Features, with_text: bool) -> Float[Tensor, "batch statistics"]:
    """The numbers of each sample in float32, from `features` of one noise level; padding of prompts does not count."""
    visual = [tap.float() for tap in features.visual]
    parts = [part for tap in visual for part in (tap.mean(dim=1), tap.std(dim=1, correction=0))]
    if with_text:
        seen = features.text_mask if features.text_mask is not None else features.text_there
        parts += [_mean(tap.float(), seen) for tap in features.text]
    return torch.cat(parts, dim=-1)


def _mean(tap: Float[Tensor, "batch tokens width"], seen: Tensor | None) -> Float[Tensor, "batch width"]:
    if seen is None:
        return tap.mean(dim=1)
    counted = seen.to(tap.dtype).unsqueeze(-1)
    return (tap * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1.0)
