"""Settings as earlier versions stored them, in today's places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS
from dina_lrm.typed import from_tagged, to_plain, to_tagged


def moved_settings(values: Mapping[str, Any], parts: Mapping[tuple[str, str], object]) -> dict[str, Any]:
    """Stored settings in today's places; `parts` has, by group and name, what was stored beside the group's others."""
    found = dict(values)
    objective = found.get("objective")
    levels = objective.get("noise_levels") if isinstance(objective, Mapping) else None
    if isinstance(objective, Mapping) and isinstance(levels, Mapping) and "name" in levels:
        found["objective"] = {**objective, "noise_levels": levels_in_todays_places(levels)}
    for (group, part), defaults in parts.items():
        flat = found.get(group)
        if isinstance(flat, Mapping) and part not in flat:
            known: dict[str, Any] = to_plain(defaults)
            moved = {key: value for key, value in flat.items() if key in known}
            if moved:
                rest = {key: value for key, value in flat.items() if key not in known}
                found[group] = {**rest, part: {**known, **moved}}
    return found


def levels_in_todays_places(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Stored noise levels whose parameters of all distributions stood beside each other."""
    ours = {key: value for key, value in levels.items() if key in ("stratified", "together")}
    given = {key: value for key, value in levels.items() if key not in ours and value is not None}
    sampler = from_tagged(LEVEL_DISTRIBUTIONS, given, "config.objective.noise_levels")
    return {**ours, "sampler": to_tagged(sampler, LEVEL_DISTRIBUTIONS)}
