"""Options of earlier versions, in the words of today: commands that somebody has kept go on working."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Final

from dina_lrm.console.common import UserError
from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS

_LEVELS: Final = "--objective.noise-levels."
_SAMPLER: Final = f"{_LEVELS}sampler"
_FORMER: Final = ("name", *dict.fromkeys(each.name for kind in LEVEL_DISTRIBUTIONS.values() for each in fields(kind)))
_ALONE: Final = "uniform"


def with_sampler(words: Sequence[str]) -> list[str]:
    """Words in which a distribution of noise levels and its parameters, once options of their own, are one option.

    Raises UserError where both ways are used, and for a former option without a value.
    """
    kept, given = [], dict[str, str]()
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        name = option.removeprefix(_LEVELS).replace("-", "_")
        if not option.startswith(_LEVELS) or name not in _FORMER:
            kept.append(word)
            continue
        found = value if equals else next(rest, None)
        if found is None:
            raise UserError(f"{option}: no value; accepted: one, as {_SAMPLER} NAME:KEY=NUMBER takes it")
        given[name] = found
    if not given:
        return [*words]
    if any(word.partition("=")[0] == _SAMPLER for word in kept):
        raise UserError(f"{_SAMPLER} and {_LEVELS}{next(iter(given))} were both given; accepted: the first alone")
    kind = given.pop("name", _ALONE)
    stated = ",".join(f"{name}={value}" for name, value in given.items() if value != "None")
    return [*kept, _SAMPLER, f"{kind}:{stated}" if stated else kind]
