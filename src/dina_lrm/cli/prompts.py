"""Prompts as commands take them: words on the command line, a text file, or captions of the synthetic world."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dina_lrm.cli.common import UserError

SYNTHETIC = "synthetic"


def prompts_of(source: str, seed: int, count: int) -> list[str]:
    """Prompts of a file, or `count` captions of the synthetic world: all distinct, in a fixed order."""
    if source == SYNTHETIC:
        import numpy as np

        from dina_lrm.synthetic.scene import sample_prompt

        rng = np.random.default_rng([seed, 7])
        captions: dict[str, None] = {}
        while len(captions) < count:
            captions.setdefault(sample_prompt(rng).caption())
        return list(captions)
    path = Path(source)
    if not path.is_file():
        raise UserError(f"--prompts {source}: there is no such file; accepted: a text file, or synthetic")
    lines = path.read_text(encoding="utf-8").splitlines()
    empty = [number for number, line in enumerate(lines, start=1) if not line.strip()]
    if empty or not lines:
        where = f"line {empty[0]} is empty" if empty else "it has no line"
        raise UserError(f"--prompts {path}: {where}; accepted: a prompt a line")
    return lines


def prompts_or_texts(given: Sequence[str], seed: int, count: int) -> list[str]:
    """As `prompts_of` where one word names a file or "synthetic"; else the prompts themselves."""
    if len(given) == 1 and (given[0] == SYNTHETIC or Path(given[0]).is_file() or _like_a_file(given[0])):
        return prompts_of(given[0], seed, count)
    return list(given)


def _like_a_file(text: str) -> bool:
    """A mistyped name of a file is no prompt."""
    return text.endswith(".txt") or ("/" in text and not any(letter.isspace() for letter in text))
