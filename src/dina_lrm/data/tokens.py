"""What a comparison takes a transformer to read: the tokens of its two pictures and of its prompt beside each."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons


def pair_tokens(data: EncodedComparisons, latent_multiple: int) -> Int64[Tensor, " pairs"]:
    """Tokens of each comparison, where a token of a picture is `latent_multiple` latents wide and high.

    The prompt counts for each picture, since each is read with it. Pictures that comparisons of a prompt share are read
    once, so that a batch takes at most the sum of its comparisons.
    """
    visual = torch.tensor([_visual(table.shapes(), latent_multiple) for table in data.latents])
    pairs = data.pairs
    text = data.conditioning_of(pairs.prompt[:1]).prompt_embeds.shape[1]
    return visual[pairs.bucket_a] + visual[pairs.bucket_b] + 2 * text


def _visual(shapes: dict[str, tuple[int, ...]], multiple: int) -> int:
    """Tokens of a picture of a bucket; 0 of one without pictures."""
    if "latents" not in shapes:
        return 0
    height, width = shapes["latents"][-2:]
    return -(-height // multiple) * -(-width // multiple)
