"""How open_clip reads a prompt, which the CLIP of transformers reads otherwise.

    ftfy (mended encoding, straight quotes, plain ligatures and widths)  ->  HTML entities, twice  ->  single spaces  ->
    lower case  ->  byte pairs

ftfy changes nothing in plain ASCII without an ampersand. Prompts beyond that need the package.
"""

from __future__ import annotations

import html
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import CLIPTokenizerFast

from dina_lrm.typed import DinaError

_PIECES: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What byte pairs are formed within: endings, words, single digits, runs of signs."""


def open_clip_text(prompt: str) -> str:
    """A prompt as open_clip cleans it.

    Raises ValueError for a prompt that ftfy might change, where ftfy is not installed.
    """
    fixed = prompt if _plain(prompt) else _fixed(prompt)
    return " ".join(html.unescape(html.unescape(fixed)).split()).lower()


def reading_as_open_clip(tokenizer: CLIPTokenizerFast) -> CLIPTokenizerFast:
    """The tokenizer, made to read cleaned prompts as open_clip does: nothing is normalised, and the marks of
    transformers (`<|endoftext|>`) are text like any other.
    """
    pieces = pre_tokenizers.Split(Regex(_PIECES), behavior="removed", invert=True)
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pieces, bytes_of])
    tokenizer.split_special_tokens = True
    return tokenizer


def _plain(prompt: str) -> bool:
    """Whether ftfy has nothing to do: printable ASCII, ends of lines and tabulators, no entity."""
    return prompt.isascii() and "&" not in prompt and prompt.replace("\n", " ").replace("\t", " ").isprintable()


def _fixed(prompt: str) -> str:
    if find_spec("ftfy") is None:
        raise DinaError(
            f"hpsv2: the prompt {prompt[:60]!r} has to go through the package ftfy, as its authors do it, and that is "
            "not installed; accepted: pip install 'dina-lrm[judges]', or prompts of plain ASCII without &"
        )
    fixed: str = import_module("ftfy").fix_text(prompt)
    return fixed
