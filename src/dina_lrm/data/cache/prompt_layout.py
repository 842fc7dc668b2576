"""How encoded prompts are laid out in the tensors of a shard: as they are, without what padding needs no place for.

| layout | columns | kept of a prompt |
|---|---|---|
| padded | `prompt_embeds` (R, N, D), `prompt_mask` (R, N) | everything |
| ragged | `tokens` (sum n, D), `offsets` (R + 1,), `real` (R,), `length` (1,) | the tokens before the padding |
| split | `clip` (R, 77, 2048), `t5` (R, N - 77, D), `real` (R, 2) | everything but the zeros beside CLIP's states |
| split, ragged | `clip`; `tokens`, `offsets`, `length` of the long encoder; `real` (R, 2) | both |

Beside them is `pooled` (R, P) where a family has a pooled vector. R rows; N tokens, D wide; n real tokens of a row, or
of its long encoder, in `real`; `length` is what padding fills the ragged part to: a row is read at the length that it
was encoded at, since a matrix product of another shape may round in another way. Real tokens come first, in each part
(`prompt_mask` is made of `real` again); what is not so is laid out padded, so that nothing is ever lost in silence.

Ragged is exact for families that mask padding everywhere (`Family.masks_text`): what was there is read as zeros, which
no model sees. Stable Diffusion 3 and FLUX attend to padding: for them it is exact only where nothing was put there
(`prompt_padding="none"`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor
from torch.nn import functional

from dina_lrm.backbones.conditioning import Conditioning, PromptShape
from dina_lrm.backbones.families import FAMILIES

Tensors = Mapping[str, Tensor]
RAGGED: Final = ("tokens", "offsets", "length")
"""Columns that have another first dimension than the rows."""


@dataclass(frozen=True)
class PromptLayout:
    """What is left out of prompts: padding (`ragged`), and the zeros beside the states of a short encoder.

    `short_tokens` is how many tokens of the front are the short encoder's, of which `short_width` numbers each are
    kept; 0 where they are kept whole, or there are none.
    """

    ragged: bool = False
    short_tokens: int = 0
    short_width: int = 0

    @classmethod
    def of(cls, family: str, prompt_length: int, shape: PromptShape) -> PromptLayout:
        """The layout that loses nothing of a family's prompts, which have `shape`, `prompt_length` of it long."""
        row = FAMILIES[family]
        narrow = row.widens_short and prompt_length > 0 and 0 < shape.pooled < shape.width
        # Both CLIP encoders of Stable Diffusion 3 are as wide as the vectors that they pool
        return cls(row.masks_text, *((shape.tokens - prompt_length, shape.pooled) if narrow else (0, 0)))

    def __str__(self) -> str:
        told = [name for name, chosen in (("split", self.short_tokens), ("ragged", self.ragged)) if chosen]
        return ", ".join(told) or "padded"


PADDED = PromptLayout()


def packed(conditioning: Conditioning, layout: PromptLayout) -> dict[str, Tensor]:
    """The columns of a shard for these prompts; padded where they are not what `layout` can hold (see above)."""
    embeds, mask, pooled = conditioning.prompt_embeds, conditioning.prompt_mask, conditioning.pooled_prompt_embeds
    real = None if mask is None or layout == PADDED else _real(mask, layout.short_tokens)
    if real is None or embeds[:, : layout.short_tokens, layout.short_width :].count_nonzero():
        named = {"prompt_embeds": embeds, "prompt_mask": mask}
    else:
        named = _unpadded(embeds, real, layout)
    named["pooled"] = pooled
    return {name: tensor.contiguous() for name, tensor in named.items() if tensor is not None}


def layout_of(tensors: Tensors) -> PromptLayout:
    """How the columns of a shard are laid out."""
    clip = tensors.get("clip")
    return PromptLayout("tokens" in tensors, *((0, 0) if clip is None else (clip.shape[1], clip.shape[2])))


def unpacked(tensors: Tensors) -> Conditioning:
    """The prompts of a shard, as they were given to `packed`; ragged padding is zeros."""
    if "prompt_embeds" in tensors:
        embeds, mask = tensors["prompt_embeds"], tensors.get("prompt_mask")
    else:
        long = _filled(tensors) if "tokens" in tensors else tensors["t5"]
        short = tensors["clip"] if "clip" in tensors else long[:, :0]
        widened = functional.pad(short, (0, long.shape[2] - short.shape[2]))
        embeds = torch.cat([widened, long], dim=1)
        mask = mask_of(tensors["real"], short.shape[1], long.shape[1])
    # Of the first format's shards, which hold prompts as they are, under the names of a conditioning
    return Conditioning(embeds, tensors.get("pooled", tensors.get("pooled_prompt_embeds")), mask)


def mask_of(real: Int32[Tensor, "rows ..."], short: int, long: int) -> Bool[Tensor, "rows tokens"]:
    """True at the real tokens of each row, of the `short` first tokens and of the `long` behind them."""
    counts = real.view(len(real), -1)
    places = [torch.arange(length) < counts[:, part, None] for part, length in _parts(counts.shape[1], short, long)]
    return torch.cat(places, dim=1)


def row_hashes(tensors: Tensors) -> list[str]:
    """SHA-256 of each row of a shard, of prompts or of any tensors with one entry a row, in hexadecimal.

    It is that of types, shapes and values of the row alone: the same in any shard, and for a split prompt as for a
    padded one. A ragged one is its real tokens and the length that it is read at.
    """
    if "tokens" in tensors:
        return _ragged_hashes(tensors)
    if "real" in tensors:
        told = unpacked(tensors)
        assert told.prompt_mask is not None
        columns = {"prompt_embeds": told.prompt_embeds, "prompt_mask": told.prompt_mask}
        tensors = columns if told.pooled_prompt_embeds is None else {**columns, "pooled": told.pooled_prompt_embeds}
    rows = len(next(iter(tensors.values())))
    return [row_hash({name: values[row] for name, values in tensors.items()}) for row in range(rows)]


def _ragged_hashes(tensors: Tensors) -> list[str]:
    clip, tokens, length = tensors.get("clip"), tensors["tokens"], int(tensors["length"])
    short = 0 if clip is None else clip.shape[1]
    mask = mask_of(tensors["real"], short, length)
    found = []
    for row, (start, end) in enumerate(pairwise(tensors["offsets"].tolist())):
        kept = tokens[start:end]
        if clip is not None:
            kept = torch.cat([functional.pad(clip[row], (0, kept.shape[1] - clip.shape[2])), kept])
        columns = {"prompt_embeds": kept, "prompt_mask": mask[row]}
        found.append(row_hash(columns | ({"pooled": tensors["pooled"][row]} if "pooled" in tensors else {})))
    return found


def row_hash(row: Tensors) -> str:
    """SHA-256 of the tensors of one row: their names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(row):
        values = row[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _unpadded(embeds: Tensor, real: Int32[Tensor, "rows parts"], layout: PromptLayout) -> dict[str, Tensor | None]:
    short, long = embeds[:, : layout.short_tokens], embeds[:, layout.short_tokens :]
    named: dict[str, Tensor | None] = {"real": real if layout.short_tokens else real[:, 0]}
    if layout.short_tokens:
        named["clip"] = short[..., : layout.short_width]
    if not layout.ragged:
        return named | {"t5": long}
    counts = real[:, -1].long()
    kept = torch.arange(long.shape[1]) < counts[:, None]
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    return named | {"tokens": long[kept], "offsets": offsets, "length": torch.tensor([long.shape[1]])}


def _real(mask: Bool[Tensor, "rows tokens"], short: int) -> Int32[Tensor, "rows parts"] | None:
    """Real tokens of each row and part; None where they are not the first of their part."""
    parts = [mask[:, :short], mask[:, short:]] if short else [mask]
    counts = torch.stack([part.sum(dim=1) for part in parts], dim=1).int()
    again = mask_of(counts, short, mask.shape[1] - short)
    return counts if torch.equal(again, mask.cpu()) else None


def _parts(count: int, short: int, long: int) -> list[tuple[int, int]]:
    return [(0, short), (1, long)] if count == 2 else [(0, long)]


def _filled(tensors: Tensors) -> Float[Tensor, "rows length width"]:
    tokens, ends = tensors["tokens"], tensors["offsets"]
    counts = ends[1:] - ends[:-1]
    length = int(tensors["length"])
    long = tokens.new_zeros(len(counts), length, tokens.shape[1])
    long[torch.arange(length) < counts[:, None]] = tokens
    return long
