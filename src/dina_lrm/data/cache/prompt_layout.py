"""How encoded prompts are laid out in the tensors of a shard: as they are, without what padding needs no place for.

| layout | columns | kept of a prompt |
|---|---|---|
| padded | `prompt_embeds` (R, N, D), `prompt_mask` (R, N) | everything |
| ragged | `tokens` (sum n, D), `offsets` (R + 1,), `real` (R,), `length` (1,) | the tokens before the padding |
| split | `clip` (R, 77, 2048), `t5` (R, N - 77, D), `real` (R, 2) | everything but the zeros beside CLIP's states |
| split, ragged | `clip`; `tokens`, `offsets`, `length` of the long encoder; `real` (R, 2) | both |

Beside them is `pooled_prompt_embeds` (R, P) where a family has a pooled vector; padded is as the first format has it.
R rows; N tokens, D wide; n real tokens of a row, or of its long encoder, in `real`; `length` is what padding fills the
ragged part to: a row is read at the length that it was encoded at, since a matrix product of another shape may round in
another way. Real tokens come first, in each part (`prompt_mask` is made of `real` again); what is not so is laid out
padded, so that nothing is ever lost in silence.

Ragged is exact for families that mask padding everywhere (`Family.masks_text`): what was there is read as zeros, which
no model sees. Stable Diffusion 3 and FLUX attend to padding: for them it is exact only where nothing was put there
(`prompt_padding="none"`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor
from torch.nn import functional

from dina_lrm.backbones.conditioning import Conditioning, PromptShape
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.settings import PromptPadding

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
    def of(
        cls, family: str, prompt_length: int, shape: PromptShape, prompt_padding: PromptPadding = "max"
    ) -> PromptLayout:
        """The layout that loses nothing of a family's prompts, which have `shape`, `prompt_length` of it long."""
        row = FAMILIES[family]
        ragged = row.masks_text or prompt_padding == "none"
        # Both CLIP encoders of Stable Diffusion 3 are as wide as the vectors that they pool
        split = row.widens_short and prompt_length > 0 and (ragged or 0 < shape.pooled < shape.width)
        return cls(ragged, shape.tokens - prompt_length, min(shape.pooled, shape.width)) if split else cls(ragged)

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
    named["pooled_prompt_embeds"] = pooled
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
    return Conditioning(embeds, tensors.get("pooled_prompt_embeds"), mask)


def mask_of(real: Int32[Tensor, "rows ..."], short: int, long: int) -> Bool[Tensor, "rows tokens"]:
    """True at the real tokens of each row, of the `short` first tokens and of the `long` behind them."""
    counts = real.view(len(real), -1)
    places = [torch.arange(length) < counts[:, part, None] for part, length in _parts(counts.shape[1], short, long)]
    return torch.cat(places, dim=1)


def row_hashes(tensors: Tensors) -> list[str]:
    """SHA-256 of each row of a shard, of prompts or of any tensors with one entry a row, in hexadecimal.

    It is that of types, shapes and values of the row alone, the same in any shard. A prompt has one hash however it is
    laid out (`prompt_hash`).
    """
    if not {"real", "prompt_embeds"} & {*tensors}:
        rows = len(next(iter(tensors.values())))
        return [row_hash({name: values[row] for name, values in tensors.items()}) for row in range(rows)]
    told = unpacked(tensors)
    mask, pooled = told.prompt_mask, told.pooled_prompt_embeds
    return [
        prompt_hash(
            told.prompt_embeds[row], None if mask is None else mask[row], None if pooled is None else pooled[row]
        )
        for row in range(len(told))
    ]


def prompt_hash(embeds: Tensor, mask: Tensor | None, pooled: Tensor | None, *, zeros: bool = False) -> str:
    """SHA-256 of one prompt: of its states up to the last real token, where zeros follow, and its shape, mask and pool.

    `zeros` says that zeros follow, and is not looked for.
    """
    end = len(embeds)
    if mask is not None and mask.any():
        real = int(mask.nonzero()[-1]) + 1
        end = real if zeros or not embeds[real:].count_nonzero() else end
    digest = hashlib.sha256(f"{tuple(embeds.shape)}".encode())
    for name, values in {"prompt_embeds": embeds[:end], "prompt_mask": mask, "pooled_prompt_embeds": pooled}.items():
        if values is not None:
            _add(digest, name, values)
    return digest.hexdigest()


def row_hash(row: Tensors) -> str:
    """SHA-256 of the tensors of one row: their names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(row):
        _add(digest, name, row[name])
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, tensor: Tensor) -> None:
    values = tensor.detach().cpu().contiguous()
    digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
    if values.numel():
        digest.update(values.view(-1).view(torch.uint8).numpy().data)


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


def conditioning_tensors(conditioning: Conditioning) -> dict[str, Tensor]:
    """The tensors of a conditioning by field name; fields that it has not are left out."""
    tensors = {
        "prompt_embeds": conditioning.prompt_embeds,
        "pooled_prompt_embeds": conditioning.pooled_prompt_embeds,
        "prompt_mask": conditioning.prompt_mask,
    }
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}
