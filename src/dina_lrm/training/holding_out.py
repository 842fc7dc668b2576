"""Which pairs are held out of training, to be measured on: what they are of, no training pair should show.

Whole prompts where there are enough of them; with one prompt (a taste, say) whole pictures, so that the pairs that are
measured each hold a picture that was never trained on; where the pictures are too few, pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Int64
from torch import Tensor

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.pairs import PairTable
from dina_lrm.training.batching import split_by_prompt
from dina_lrm.training.config import HeldOutBy
from dina_lrm.training.randomness import mixed_seed
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class HeldOutPairs:
    """Comparisons to train on and others to measure on; `told` says in a sentence by what they were parted."""

    rest: EncodedComparisons
    held: EncodedComparisons
    told: str


ENOUGH: Final = 200
"""Pairs from which on some are held out without being asked for: a tenth of fewer would say little."""
_USUAL, _MOST = 0.1, 2_000


def usual_fraction(pairs: int) -> float:
    """The share of so many pairs that is held out where nothing is said: a tenth, of many no more than 2,000."""
    return 0.0 if pairs < ENOUGH else float(f"{min(_USUAL, _MOST / pairs):.2g}")


def hold_out(data: EncodedComparisons, fraction: float, seed: int, by: HeldOutBy = "auto") -> HeldOutPairs:
    """Hold `fraction` of the comparisons out, `by` prompts or by pictures; nothing is lost.

    "auto" is by prompts, else by pictures, else by pairs. Raises DinaError where that leaves either side empty.
    """
    prompts = len(data.pairs.prompt.unique())
    if by == "prompt" or (by == "auto" and prompts > 1 and 0 < round(fraction * prompts) < prompts):
        rest, held = split_by_prompt(data, fraction, seed)
        return HeldOutPairs(rest, held, _told(data, held, f"those of {_prompts(held)}, which no other pair has"))
    by_picture = _by_picture(data.pairs, fraction, seed)
    if by_picture is not None:
        rows, pictures = by_picture
        which = "a picture" if pictures == 1 else f"one of {pictures} pictures"
        why = "" if by == "image" else f", as {_few(prompts)}"
        return _parted(data, rows, f"those with {which} that no other pair shows{why}")
    if by == "image":
        raise DinaError(
            f"validation_by image: no pictures are in about {fraction:.0%} of the {len(data)} pairs; accepted: another "
            "validation_fraction, validation_by prompt, or a validation set"
        )
    rows = _by_pair(data.pairs, fraction, seed)
    if not rows.any() or rows.all():
        raise DinaError(
            f"validation_fraction {fraction}: {len(data)} pairs of {prompts} prompts cannot be parted; accepted: more "
            "pairs, another fraction, or a validation set"
        )
    return _parted(data, rows, f"whose pictures other pairs show too, as {_few(prompts)} and few pictures")


def _by_picture(pairs: PairTable, fraction: float, seed: int) -> tuple[Tensor, int] | None:
    """Rows with one of some pictures, as many as make up the fraction, and their number; None where these are more
    than twice the fraction.
    """
    of_pair = _pictures(pairs)
    order = torch.randperm(int(of_pair.max()) + 1, generator=torch.Generator().manual_seed(mixed_seed(seed)))
    held = torch.zeros(len(pairs), dtype=torch.bool)
    for count, one in enumerate(order, start=1):
        held |= (of_pair == one).any(1)
        share = float(held.float().mean())
        if share >= fraction:
            return (held, count) if share <= 2 * fraction and not held.all() else None
    return None


def _pictures(pairs: PairTable) -> Int64[Tensor, "pairs 2"]:
    """A number for each picture, by its bucket and row."""
    sides = torch.stack([pairs.bucket_a, pairs.image_a, pairs.bucket_b, pairs.image_b], 1).view(-1, 2)
    _, picture = sides.unique(dim=0, return_inverse=True)
    return picture.view(-1, 2)


def _by_pair(pairs: PairTable, fraction: float, seed: int) -> Tensor:
    """Rows of some pairs of pictures; judgements of the same two stay together."""
    low, high = _pictures(pairs).aminmax(dim=1)
    _, pair = torch.stack([low, high, pairs.prompt], 1).unique(dim=0, return_inverse=True)
    count = int(pair.max()) + 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(mixed_seed(seed)))
    return torch.isin(pair, order[: max(1, round(fraction * count))])


def _parted(data: EncodedComparisons, held: Tensor, told: str) -> HeldOutPairs:
    chosen = data.subset(held.nonzero().flatten())
    return HeldOutPairs(data.subset((~held).nonzero().flatten()), chosen, _told(data, chosen, told))


def _told(data: EncodedComparisons, held: EncodedComparisons, which: str) -> str:
    return f"held out: {len(held):,} of {len(data):,} pairs, {which}"


def _prompts(held: EncodedComparisons) -> str:
    count = len(held.pairs.prompt.unique())
    return "one prompt" if count == 1 else f"{count:,} prompts"


def _few(prompts: int) -> str:
    return "there is one prompt" if prompts == 1 else f"there are {prompts} prompts"
