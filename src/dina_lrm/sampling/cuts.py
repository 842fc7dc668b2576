"""Cuts as people write them: `4:8`, `0.6:8`, `4:within=0.5`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jaxtyping import Float
from torch import Tensor

from dina_lrm.sampling.pruning import Cut, step_at
from dina_lrm.typed import DinaError

_ACCEPTED: Final = "AT:KEEP or AT:within=MARGIN, AT a step such as 4 or a noise level such as 0.6"


def parsed_cuts(words: Sequence[str], levels: Float[Tensor, " levels"]) -> tuple[Cut, ...]:
    """The cuts that the words say, for a sampler with these noise levels.

    Raises ValueError for words that are none, and for levels outside the schedule.
    """
    return tuple(_cut(word, levels) for word in words)


def _cut(word: str, levels: Float[Tensor, " levels"]) -> Cut:
    place, _, rule = word.partition(":")
    margin = rule.removeprefix("within=")
    try:
        at: int | float = float(place) if "." in place else int(place)
        keep, within = (int(rule), None) if margin == rule else (None, float(margin))
    except ValueError as error:
        raise DinaError(f"--prune {word}; accepted: {_ACCEPTED}") from error
    return Cut(step_at(levels, at) if isinstance(at, float) else at, keep, within)


def default_cuts(n: int, steps: int) -> tuple[Cut, ...]:
    """A quarter of `n` candidates stays after three tenths of `steps` steps."""
    return (Cut(3 * steps // 10, -(-n // 4)),)
