"""Captions read back: which prompt of the synthetic world a text is, and what pictures are truly worth for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.scene import Kind, Prompt, sample_prompt
from dina_lrm.synthetic.utility import PERSONALITIES
from dina_lrm.synthetic.vocabulary import BACKGROUNDS, COLOURS, COUNTS, IMAGE_SIZE, PLURALS, RELATIONS, SHAPES, SIZES

_SINGULAR: Final = {plural: shape for shape, plural in PLURALS.items()}


def _one_of(name: str, words: Sequence[str]) -> str:
    return f"(?P<{name}>{'|'.join(words)})"


def _kind(number: int) -> str:
    parts = {"size": tuple(SIZES), "colour": tuple(COLOURS), "shape": (*PLURALS.values(), *SHAPES)}
    return " ".join(_one_of(f"{name}{number}", words) for name, words in parts.items())


_CAPTION: Final = re.compile(
    f"{_one_of('count', tuple(COUNTS.values()))} {_kind(1)}"
    f"(?: {_one_of('relation', tuple(RELATIONS))} a {_kind(2)})? on {_one_of('background', tuple(BACKGROUNDS))}"
)


def prompt_of(caption: str) -> Prompt | None:
    """The prompt whose caption this is, or None for a text that is no caption of the synthetic world."""
    found = _CAPTION.fullmatch(caption)
    if found is None:
        return None
    word = found.groupdict()
    count = next(number for number, name in COUNTS.items() if name == word["count"])
    numbers = (1,) if word["relation"] is None else (1, 2)
    kinds = tuple(
        Kind(word[f"size{n}"], word[f"colour{n}"], _SINGULAR.get(word[f"shape{n}"], word[f"shape{n}"])) for n in numbers
    )
    prompt = Prompt(kinds, word["background"], count, word["relation"])
    # A wrong number ("a rings", "two ... above") matches the pattern and is no caption
    return prompt if prompt.caption() == caption else None


def distinct_captions(rng: np.random.Generator, count: int) -> list[str]:
    """Draw `count` captions, no two alike, in the order they are drawn."""
    captions: dict[str, None] = {}
    while len(captions) < count:
        captions.setdefault(sample_prompt(rng).caption())
    return list(captions)


def true_values(images: NDArray[np.uint8], captions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """`true_parts` by name, with the utility that a balanced annotator has of them; (n,) each."""
    parts = true_parts(images, captions)
    return {"utility": PERSONALITIES["balanced"].utility(parts), "alignment": parts[:, 0], "quality": parts[:, 1]}


def true_parts(images: NDArray[np.uint8], captions: Sequence[str]) -> NDArray[np.float64]:
    """(n, 2) alignment and quality as the analytic oracle sees them, each at most 0.

    NaN where the text is no caption of the synthetic world, everywhere for pictures of another size than its 32 x 32.
    """
    parts = np.full((len(captions), 2), np.nan)
    prompts = {row: prompt for row, caption in enumerate(captions) if (prompt := prompt_of(caption)) is not None}
    if prompts and images.shape[1:] == (IMAGE_SIZE, IMAGE_SIZE, 3):
        rows = list(prompts)
        parts[rows] = oracle_parts(images[rows], list(prompts.values()))
    return parts
