"""Judged pictures of the synthetic world as a backbone reads them: latents and conditioning, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int64
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.synthetic.comparisons import SyntheticComparisons

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


@torch.inference_mode()
def encode(
    comparisons: SyntheticComparisons,
    backbone: Backbone,
    batch_size: int = 256,
    progress: Callable[[int, int], None] | None = None,
    by_name: bool = False,
) -> EncodedComparisons:
    """Encode every picture and every distinct prompt once; `progress` is called with (pictures done, pictures).

    `by_name` with what was said of each axis, for models with scores of these names.
    """
    latents = []
    for start in range(0, len(comparisons.images), batch_size):
        part = torch.from_numpy(np.ascontiguousarray(comparisons.images[start : start + batch_size]))
        pixels = rearrange(part, "b h w c -> b c h w").float() / 127.5 - 1
        latents.append(backbone.encode_images(pixels).float().cpu())
        if progress is not None:
            progress(min(start + batch_size, len(comparisons.images)), len(comparisons.images))
    texts, prompts = prompt_rows(comparisons)
    parts = [backbone.encode_prompts(list(texts[i : i + 512])).to("cpu") for i in range(0, len(texts), 512)]
    pairs = torch.from_numpy(comparisons.pairs)
    return EncodedComparisons.from_tensors(
        latents=torch.cat(latents).clone(),
        conditioning=Conditioning.cat(parts),
        image_a=pairs[:, 0],
        image_b=pairs[:, 1],
        prompt=prompts,
        preference=torch.from_numpy(comparisons.preference).float(),
        prompts=texts,
        pair_id=pair_names(comparisons),
        preferences=comparisons.said_by_name() if by_name else None,
    )


def prompt_rows(comparisons: SyntheticComparisons) -> tuple[tuple[str, ...], Int64[Tensor, " pairs"]]:
    """The distinct prompts, and which of them each pair is for."""
    rows: dict[str, int] = {}
    of_prompt = np.array([rows.setdefault(prompt, len(rows)) for prompt in comparisons.prompts], dtype=np.int64)
    return tuple(rows), torch.from_numpy(of_prompt[comparisons.group[comparisons.pairs[:, 0]]])


def pair_names(comparisons: SyntheticComparisons) -> list[str | None]:
    """How each pair is called."""
    return [f"{comparisons.source}-{n}" for n in range(len(comparisons))]
