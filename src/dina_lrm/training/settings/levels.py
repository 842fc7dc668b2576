"""Distributions of noise levels as an option says them: logit_normal:mu=0.8,s=1.0."""

from __future__ import annotations

from typing import Final

import tyro

from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS, LevelDistribution
from dina_lrm.typed import DinaError, from_tagged, to_tagged


def _as_text(distribution: LevelDistribution) -> list[str]:
    """A distribution as an option says it: logit_normal:mu=0.8,s=1.0."""
    plain = to_tagged(distribution, LEVEL_DISTRIBUTIONS)
    name = plain.pop("name")
    return [f"{name}:{','.join(f'{key}={value}' for key, value in plain.items())}"]


def _from_text(words: list[str]) -> LevelDistribution:
    """What `_as_text` wrote; parameters that are left out have their defaults."""
    name, _, rest = words[0].partition(":")
    given = dict(pair.partition("=")[::2] for pair in rest.split(",") if pair)
    try:
        values = {key.strip(): float(text) for key, text in given.items()}
    except ValueError:
        raise DinaError(f"{words[0]!r}; accepted: NAME or NAME:PARAMETER=NUMBER,...") from None
    return from_tagged(LEVEL_DISTRIBUTIONS, {"name": name, **values}, "distribution of noise levels")


LEVELS_AS_TEXT: Final = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="NAME:PARAMETER=NUMBER,...",
    instance_from_str=_from_text,
    is_instance=lambda value: isinstance(value, tuple(LEVEL_DISTRIBUTIONS.values())),
    str_from_instance=_as_text,
)
