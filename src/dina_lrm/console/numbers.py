"""Numbers that no option takes: refused in one place, before a command does anything."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from dina_lrm.console.common import UserError

LARGEST = 2**63 - 1


def check_numbers(arguments: object) -> None:
    """UserError for an option that is not finite, an integer beyond 64 bits, or a seed below 0, at any depth."""
    for option, value in _numbers(arguments, "--"):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{option} {value}; accepted: finite numbers")
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise UserError(f"{option} {value}; accepted: whole numbers of at most {LARGEST}")
        if value < 0 and option.rpartition(".")[2].strip("-") in ("seed", "seeds"):
            raise UserError(f"{option} {value}; accepted: whole numbers of at least 0")


def _numbers(values: object, prefix: str) -> Iterator[tuple[str, int | float]]:
    """Every number among the fields of a dataclass and of those within it, by the option that sets it."""
    assert dataclasses.is_dataclass(values)
    for field in dataclasses.fields(values):
        value, option = getattr(values, field.name), f"{prefix}{field.name.replace('_', '-')}"
        for one in value if isinstance(value, tuple | list) else [value]:
            if dataclasses.is_dataclass(one):
                yield from _numbers(one, f"{'--' if field.name in ('recipe', 'settings') else option + '.'}")
            elif isinstance(one, int | float) and not isinstance(one, bool):
                yield option, one
