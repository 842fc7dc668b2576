"""A real CLIP tokenizer whose vocabulary is the words of the synthetic world: one token a word."""

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from transformers import CLIPTokenizer

from dina_lrm.synthetic.vocabulary import WORDS

TEXT_TOKENS: Final = 16
"""Prompt length in tokens, begin and end included."""


def write_vocabulary(folder: Path) -> None:
    """Write vocab.json and merges.txt beside a tokenizer.json: transformers before version 5 reads those."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False) + "\n")
    (folder / "merges.txt").write_text(_merges_text(model["merges"]))


def _merges_text(merges: Iterable[Sequence[str]]) -> str:
    return "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n"


def build_tokenizer() -> CLIPTokenizer:
    """The tokenizer; raises AssertionError when a word would not be exactly one token."""
    characters = sorted({c for word in WORDS for c in word} | set("abcdefghijklmnopqrstuvwxyz0123456789.,"))
    symbols = [*characters, *(c + "</w>" for c in characters)]
    merges: list[tuple[str, str]] = []
    known = set(symbols)
    for word in WORDS:
        # Merge from the right, so that every partial piece carries the end-of-word mark and belongs to suffixes only.
        piece = word[-1] + "</w>"
        for character in reversed(word[:-1]):
            if character + piece not in known:
                merges.append((character, piece))
                known.add(character + piece)
                symbols.append(character + piece)
            piece = character + piece
    vocabulary = {symbol: i for i, symbol in enumerate(symbols)}
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[special] = len(vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        vocab, merge_file = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocab.write_text(json.dumps(vocabulary))
        merge_file.write_text(_merges_text(merges))
        tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=TEXT_TOKENS)
    for word in WORDS:
        assert len(tokenizer(word).input_ids) == 3, f"{word!r} is not one token: {tokenizer.tokenize(word)}"
    return tokenizer
