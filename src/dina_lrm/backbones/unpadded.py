"""Prompts that end behind their last token (`prompt_padding="none"`), for families that attend to padding.

A prompt is encoded at its own length, so that its text encoder sees no padding either. A batch holds prompts of several
lengths, filled with zeros; the model runs once for each length, on rows that have nothing filled in: no token attends
to what is not there, and a score is that of the prompt alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.rows_read import RowsRead
from dina_lrm.backbones.settings import BackboneConfig, PromptPadding
from dina_lrm.typed import DinaError

States = Callable[[list[str], int], tuple[Tensor, Tensor]]
"""(prompts, tokens of the long encoder) to states and pooled vectors: a pipeline's `encode_prompt`."""


def check_padding(config: BackboneConfig) -> None:
    """Raise ValueError for a family whose padding cannot be left out."""
    family = FAMILIES[config.family]
    if config.prompt_padding == "max" or family.drops_padding:
        return
    why = "masks padding everywhere, so that it means nothing" if family.masks_text else "has prompts of one length"
    accepted = ", ".join(name for name, row in FAMILIES.items() if row.drops_padding)
    raise DinaError(
        f"prompt_padding: got {config.prompt_padding!r}, but family {config.family} {why}; accepted: 'max', or the "
        f"families {accepted}"
    )


def encoded(
    states: States,
    prompts: list[str],
    length: int,
    long: Bool[Tensor, "prompts long"] | None,
    padding: PromptPadding,
) -> tuple[Float[Tensor, "prompts tokens width"], Float[Tensor, "prompts pooled"]]:
    """States and pooled vectors of prompts, `length` tokens of the long encoder each.

    Without padding each is encoded at the number of tokens that `long` keeps of it, and zeros follow; None says that
    there is no long encoder.
    """
    if padding == "max" or long is None:
        return states(prompts, length)
    embeds: list[Tensor] = [torch.empty(0)] * len(prompts)
    pooled = embeds.copy()
    for count, rows in _groups(long.sum(dim=1)):
        found = states([prompts[row] for row in rows.tolist()], count)
        for place, row in enumerate(rows.tolist()):
            embeds[row] = functional.pad(found[0][place], (0, 0, 0, length - count))
            pooled[row] = found[1][place]
    return torch.stack(embeds), torch.stack(pooled)


def ended(
    embeds: Float[Tensor, "prompts tokens width"], mask: Bool[Tensor, "prompts tokens"], padding: PromptPadding
) -> Float[Tensor, "prompts tokens width"]:
    """Zeros behind the last real token of each prompt, where it is to end there."""
    return embeds if padding == "max" else embeds.masked_fill(~_there(mask)[..., None], 0)


def check_ended(conditioning: Conditioning) -> Int64[Tensor, " prompts"]:
    """How long each prompt is. Raises ValueError for prompts that do not say it, or go on behind their last token."""
    mask = conditioning.prompt_mask
    if mask is None:
        raise DinaError("conditioning: no prompt_mask; prompt_padding='none' needs it, to know where a prompt ends")
    if not bool(mask.any(dim=1).all()):
        raise DinaError("conditioning: a prompt has no token that is not masked; accepted: at least one")
    there = _there(mask)
    if conditioning.prompt_embeds.masked_fill(there[..., None], 0).count_nonzero():
        raise DinaError(
            "conditioning: prompts with prompt_padding='max', which go on behind their last token; this backbone has "
            "prompt_padding='none': encode them with it"
        )
    return there.sum(dim=1)


def check_padded_as(config: BackboneConfig, conditioning: Conditioning, tokens: int) -> None:
    """Raise ValueError for prompts that were encoded with another padding than the backbone's, as far as they tell.

    Encoders give no zeros for padding: where the last encoder of a prompt of `tokens` has real tokens and zeros behind
    them, it was not padded.
    """
    if config.prompt_padding == "none":
        check_ended(conditioning)
        return
    embeds, mask = conditioning.prompt_embeds, conditioning.prompt_mask
    if mask is None or not FAMILIES[config.family].drops_padding:
        return
    short = tokens - config.prompt_length if config.prompt_length else 0
    dropped = mask[:, short:].any(dim=1) & ~mask[:, -1]
    for row in dropped.nonzero().flatten().tolist():
        if not embeds[row, int(mask[row].nonzero()[-1]) + 1 :].count_nonzero():
            raise DinaError(
                "conditioning: prompts with prompt_padding='none', which end behind their last token; this backbone "
                "has prompt_padding='max': encode them with it"
            )


def features_by_length(
    features: Callable[[Tensor, Tensor, Conditioning], Features],
    noisy_latents: Float[Tensor, "batch channels height width"],
    noise_level: Float[Tensor, " batch"],
    conditioning: Conditioning,
    read: RowsRead,
) -> Features:
    """Features of each image for its prompt as long as it is; the model runs once for each length of the batch."""
    lengths = check_ended(conditioning)
    parts, order = [], []
    for length, rows in _groups(lengths):
        told = _cut(conditioning[rows], length)
        with read.chosen(rows):
            parts.append(features(noisy_latents[rows], noise_level[rows], told))
        order.append(rows)
    back = torch.cat(order).argsort()
    return _joined(parts, conditioning.prompt_embeds.shape[1], back, conditioning.prompt_mask)


def _there(mask: Bool[Tensor, "prompts tokens"]) -> Bool[Tensor, "prompts tokens"]:
    """True up to the last real token."""
    return mask.flip(1).cumsum(dim=1).flip(1) > 0


def _groups(counts: Int64[Tensor, " rows"]) -> Iterator[tuple[int, Int64[Tensor, " _"]]]:
    for count in counts.unique().tolist():
        yield count, (counts == count).nonzero().flatten()


def _cut(conditioning: Conditioning, length: int) -> Conditioning:
    mask = conditioning.prompt_mask
    return Conditioning(
        conditioning.prompt_embeds[:, :length],
        conditioning.pooled_prompt_embeds,
        None if mask is None else mask[:, :length],
        conditioning.truncated,
    )


def _joined(
    parts: Sequence[Features], tokens: int, back: Int64[Tensor, " batch"], mask: Bool[Tensor, "batch tokens"] | None
) -> Features:
    """Features in the order of the batch, texts filled with zeros to `tokens`, and where they are there."""
    device = parts[0].time_embedding.device
    back = back.to(device)

    def whole(found: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(found))[back]

    def filled(tap: int) -> Tensor:
        return whole([functional.pad(p.text[tap], (0, 0, 0, tokens - p.text[tap].shape[1])) for p in parts])

    pooled = [part.pooled_text for part in parts if part.pooled_text is not None]
    assert mask is not None
    return Features(
        tuple(whole([part.visual[tap] for part in parts]) for tap in range(len(parts[0].visual))),
        tuple(filled(tap) for tap in range(len(parts[0].text))),
        whole([part.time_embedding for part in parts]),
        mask.to(device),
        parts[0].grids,
        whole(pooled) if pooled else None,
        text_there=_there(mask).to(device),
    )
