"""Settings that were given and would do nothing: an error that names them, instead of a run that is not what was asked.

A recipe fills in every setting, so what somebody gave is what differs from the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dina_lrm.typed import DinaError

Config = TypeVar("Config")


@dataclass(frozen=True)
class Applies(Generic[Config]):
    """`names`, dotted (a name that ends in a dot stands for all below it), have an effect where `holds`."""

    names: tuple[str, ...]
    holds: Callable[[Config], bool]
    accepted: str
    """What it takes, in words."""


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings that differ between two plain configs."""
    changed = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += changed_settings(old, new, f"{prefix}{key}.")
        elif old != new:
            changed.append(f"{prefix}{key}")
    return changed


def is_one_of(name: str, names: Sequence[str]) -> bool:
    """Whether a dotted name is among `names`, of which one that ends in a dot stands for all below it."""
    return any(name == each or (each.endswith(".") and name.startswith(each)) for each in names)


def check_applies(config: Config, given: Iterable[str], rules: Sequence[Applies[Config]]) -> None:
    """Raise ValueError for a setting, of those `given` by their dotted names, that has no effect in `config`."""
    for name in given:
        for rule in rules:
            if is_one_of(name, rule.names) and not rule.holds(config):
                raise DinaError(f"{option(name)}: would have no effect; accepted with {rule.accepted}")


def option(name: str) -> str:
    """A dotted name as the command line has it."""
    return f"--{name.replace('_', '-')}"


def nearest(plain: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the one of `others` that a config was derived from: that of its own name, or the most alike."""
    name = str(plain.get("name"))
    return name if name in others else min(others, key=lambda each: len(changed_settings(others[each], plain)))
