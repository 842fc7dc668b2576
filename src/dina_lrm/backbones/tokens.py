"""What a tokenizer keeps of a prompt: the mask of real tokens, and a sentence for each prompt that was cut.

Also what it does not read as text: a control token that is written in a prompt (`</s>`) ends or pads the prompt for the
encoder, and a word of which it knows no part becomes its mark for the unknown, which in CLIP is the end mark. Both are
said; prompts are read in Unicode's composed form (NFC), so that two spellings of one text have one score.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

import torch
from jaxtyping import Bool
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from dina_lrm.typed import DinaError


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


def read_on(short: Sequence[KeptTokens], long: KeptTokens) -> tuple[KeptTokens, ...]:
    """The reports of encoders of which the last is a long one: what only the short ones cut is read on by that one.

    It is then no cut, as such models learned from prompts that their short encoders saw the beginning of.
    """
    shown = [tuple(own if last else None for own, last in zip(each.cut, long.cut, strict=True)) for each in short]
    return (*(KeptTokens(each.mask, cut) for each, cut in zip(short, shown, strict=True)), long)


def composed(prompts: Sequence[str]) -> list[str]:
    """The prompts as tokenizers are given them; ValueError for no prompts and for anything that is no list of strings.

    Accents are composed with their letters (NFC); text that is composed already stays as it is.
    """
    wrong = [prompt for prompt in prompts if not isinstance(prompt, str)]
    if wrong or isinstance(prompts, str) or not prompts:
        given = f"{wrong[0]!r} in the list" if wrong else repr(prompts)
        raise DinaError(f"prompts: got {given}, expected a list of at least one string")
    return [unicodedata.normalize("NFC", prompt) for prompt in prompts]


_TOKENIZERS: Final = ("tokenizer", "tokenizer_2", "tokenizer_3")
_SAYS: Final = frozenset("LNPS")
"""Categories of characters that say something: letters, numbers, punctuation, symbols."""
_SHOWN: Final = 5
_AT_ONCE: Final = 1024


def unread_prompts(components: Mapping[str, Any], prompts: Sequence[str]) -> tuple[str | None, ...]:
    """For each prompt a sentence on what the tokenizers of a pipeline do not read as text, None where they read all."""
    tokenizers = [components[name] for name in _TOKENIZERS if components.get(name) is not None]
    texts = composed(prompts)
    found: list[dict[str, None]] = [{} for _ in texts]
    # Many at once, as a call of a tokenizer takes a millisecond whatever it is given; of blank ones nothing is said
    worded = [number for number, text in enumerate(texts) if text.strip()]
    for start in range(0, len(worded), _AT_ONCE):
        part = worded[start : start + _AT_ONCE]
        for tokenizer in tokenizers:
            for number, told in zip(part, _unread(tokenizer, [texts[number] for number in part]), strict=True):
                found[number].update(dict.fromkeys(told))
    return tuple(f"{text[:60]!r}: {'; '.join(told)}" if told else None for text, told in zip(texts, found, strict=True))


def _unread(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Iterator[list[str]]:
    """What one tokenizer does not read of each text."""
    controls = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    controls.update(tokenizer.all_special_tokens)
    marks = [sorted(mark for mark in controls if mark in text) for text in texts]
    plain = [reduce(lambda text, mark: text.replace(mark, " "), *given) for given in zip(marks, texts, strict=True)]
    for held, letters in zip(marks, _unknown(tokenizer, plain), strict=True):
        told = [f"holds {', '.join(map(repr, held))}, which is a control token and no text"] if held else []
        unknown = list(dict.fromkeys(letters))
        if unknown:
            more = ", ..." if len(unknown) > _SHOWN else ""
            told.append(f"{', '.join(map(repr, unknown[:_SHOWN]))}{more} cannot be read")
        yield told


def _unknown(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Iterator[Iterable[str]]:
    """For each text the characters of which no token is known, in order."""
    if not tokenizer.is_fast:  # without places only whether there are any is known
        tokens = tokenizer(texts, add_special_tokens=False, verbose=False)
        for text, ids in zip(texts, tokens.input_ids, strict=True):
            yield [text] if tokenizer.unk_token_id in ids else []
        return
    tokens = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for text, ids, places in zip(texts, tokens.input_ids, tokens.offset_mapping, strict=True):
        yield _not_read(text, [token == tokenizer.unk_token_id for token in ids], places)


def _not_read(text: str, unknown: Sequence[bool], places: Sequence[tuple[int, int]]) -> Iterator[str]:
    """The characters in the places of unknown tokens, or of none, that say something."""
    read, missed = [False] * len(text), [False] * len(text)
    for lost, (start, end) in zip(unknown, places, strict=True):
        (missed if lost else read)[start:end] = [True] * (end - start)
    for number, letter in enumerate(text):
        if (missed[number] or not read[number]) and unicodedata.category(letter)[0] in _SAYS:
            yield letter


def joined_cuts(reports: Sequence[KeptTokens]) -> tuple[str | None, ...]:
    """One sentence for each prompt from those of several tokenizers."""
    rows = zip(*(report.cut for report in reports), strict=True)
    return tuple("; ".join(dict.fromkeys(filter(None, row))) or None for row in rows)
