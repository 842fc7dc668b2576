"""The settings of a run on its page: those that differ from its recipe first, all of them folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dina_lrm.reports.blocks import Block, Facts, Folded, Section, Text

_IGNORED: Final = ("name", "train.name")


def settings_section(record: Mapping[str, Any], recipe: Mapping[str, Any] | None, under: str = "") -> Section:
    """What a run was told, beside what its recipe says.

    `under` names the part of the record that holds the recipe's settings, "" where that is all of it. A run whose
    recipe is not known shows all its settings.
    """
    told = flat(record)
    if recipe is None:
        return Section("Settings", [Facts(told)], folded=True)
    prefix = f"{under}." if under else ""
    usual = flat(recipe, prefix)
    own = {
        name: f"{value} (recipe: {usual.get(name, 'not there')})"
        for name, value in told.items()
        if name.startswith(prefix) and name not in _IGNORED and usual.get(name) != value
    }
    first: Block = Facts(own) if own else Text("Every setting is the recipe's.")
    return Section("Settings that differ from the recipe", [first, Folded("All settings", [Facts(told)])])


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found
