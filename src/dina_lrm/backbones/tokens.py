"""What a tokenizer keeps of a prompt: the mask of real tokens, and a sentence for each prompt that was cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class KeptTokens:
    """`mask` is True at real tokens (begin and end marks included); `cut` has a sentence or None for each prompt."""

    mask: Bool[Tensor, "batch tokens"]
    cut: tuple[str | None, ...]


def kept_tokens(name: str, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], length: int) -> KeptTokens:
    """What `tokenizer` (called `name` in the sentences) keeps of each prompt, padded to `length`."""
    given = [len(ids) for ids in tokenizer(list(prompts), verbose=False).input_ids]
    padded = tokenizer(list(prompts), padding="max_length", max_length=length, truncation=True)
    mask = torch.tensor(padded.attention_mask, dtype=torch.bool)
    cut = tuple(f"{name}: {count} tokens given, {length} kept" if count > length else None for count in given)
    return KeptTokens(mask, cut)


def expect_prompts(prompts: Sequence[str]) -> None:
    """ValueError for no prompts and for anything that is no list of strings."""
    wrong = [prompt for prompt in prompts if not isinstance(prompt, str)]
    if wrong or isinstance(prompts, str) or not prompts:
        given = f"{wrong[0]!r} in the list" if wrong else repr(prompts)
        raise ValueError(f"prompts: got {given}, expected a list of at least one string")


def joined_cuts(reports: Sequence[KeptTokens]) -> tuple[str | None, ...]:
    """One sentence for each prompt from those of several tokenizers."""
    rows = zip(*(report.cut for report in reports), strict=True)
    return tuple("; ".join(dict.fromkeys(filter(None, row))) or None for row in rows)
