"""Prompts by name: texts, a text file, a published set, or captions of the synthetic world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from dina_lrm.data.prompt_sets import PromptSet, names_a_file, read_prompt_set
from dina_lrm.synthetic.captions import distinct_captions
from dina_lrm.typed import DinaError

SYNTHETIC: Final = "synthetic"
"""The name of the world's captions."""
_JUDGED: Final = 64
"""How many captions a generator is judged on where no number is given."""


def prompts_of(source: str, seeds: list[int], count: int, columns: Mapping[str, str] | None = None) -> PromptSet:
    """Read all prompts of a file or folder; or `count` distinct captions of the synthetic world, drawn from `seeds`.

    `columns` says which column of a table holds them, where its name does not: {"prompt": "title"}.
    Raises ValueError or FileNotFoundError as `read_prompt_set` does.
    """
    if source != SYNTHETIC:
        return read_prompt_set(Path(source), columns)
    _check_no_columns(source, columns)
    return PromptSet(source, tuple(distinct_captions(np.random.default_rng(seeds), count)))


def prompts_or_texts(
    given: Sequence[str], seeds: list[int], count: int, columns: Mapping[str, str] | None = None
) -> list[str]:
    """Read as `prompts_of` where one word names a file, a folder or "synthetic"; else take the prompts themselves."""
    if len(given) == 1 and (given[0] == SYNTHETIC or names_a_file(given[0])):
        return list(prompts_of(given[0], seeds, count, columns).prompts)
    _check_no_columns(given[0] if given else "nothing", columns)
    for text in given:
        if names_a_file(text):
            raise DinaError(f"--prompts {text}: names a file among several prompts; accepted: one file, or prompts")
    return list(given)


def judged_prompts(
    source: str,
    seed: int = 0,
    count: int | None = None,
    option: str = "count",
    columns: Mapping[str, str] | None = None,
) -> PromptSet:
    """Prompts to judge a generator on: those of a file or folder, all or `count` of them by `seed`; or captions.

    Raises ValueError, which names `option`, where there are fewer.
    """
    # Another stream than training prompts and looks are drawn from
    found = prompts_of(source, [seed, 11, 0], count or _JUDGED, columns)
    if count is None or count == len(found.prompts):
        return found
    if count > len(found.prompts):
        raise DinaError(f"{option} {count}: {source} holds {len(found.prompts)} prompts")
    rng = np.random.default_rng([seed, 11])
    return found.take(sorted(rng.choice(len(found.prompts), count, replace=False).tolist()))


def _check_no_columns(source: str, columns: Mapping[str, str] | None) -> None:
    if columns is not None:
        raise DinaError(
            f"columns prompt={columns.get('prompt')}: {source} is no table; accepted with a table of prompts"
        )
