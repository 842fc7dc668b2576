"""The prompts that a command line names: words, a text file, a published set, or captions of the synthetic world."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dina_lrm.data.prompt_sets import PromptSet

SYNTHETIC = "synthetic"
_SUFFIXES = (".txt", ".tsv", ".csv", ".md", ".json", ".jsonl", ".parquet")


def prompts_of(source: str, seeds: list[int], count: int) -> PromptSet:
    """Those of a file or folder, all of them; or `count` distinct captions of the synthetic world, drawn from `seeds`.

    Raises ValueError or FileNotFoundError as `read_prompt_set` does.
    """
    from dina_lrm.data.prompt_sets import PromptSet, read_prompt_set

    if source != SYNTHETIC:
        return read_prompt_set(Path(source))
    import numpy as np

    from dina_lrm.synthetic.captions import distinct_captions

    return PromptSet(source, tuple(distinct_captions(np.random.default_rng(seeds), count)))


def prompts_or_texts(given: Sequence[str], seeds: list[int], count: int) -> list[str]:
    """As `prompts_of` where one word names a file, a folder or "synthetic"; else the prompts themselves."""
    if len(given) == 1 and given[0] and (given[0] == SYNTHETIC or os.path.exists(given[0]) or _like_a_file(given[0])):
        return list(prompts_of(given[0], seeds, count).prompts)
    files = [text for text in given if _like_a_file(text) or os.path.isfile(text)]
    if files:
        raise ValueError(f"--prompts {files[0]}: names a file among several prompts; accepted: one file, or prompts")
    return list(given)


def _like_a_file(text: str) -> bool:
    """A mistyped name of a file is no prompt."""
    return text.endswith(_SUFFIXES) or ("/" in text and not any(letter.isspace() for letter in text))
