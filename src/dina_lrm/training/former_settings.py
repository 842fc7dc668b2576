"""Settings as earlier versions stored them: those that came later have the values that stood for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dina_lrm.preference.distributions import LEVEL_DISTRIBUTIONS
from dina_lrm.training.spike_settings import SpikeSettings
from dina_lrm.typed import from_tagged, to_plain, to_tagged

_LATER: Final = {"optimizer": {"kind": "fused"}, "adaptation": {"precision": "fp32"}}


def with_later_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings, with those that their version did not have."""
    found = {"validation_by": "auto", "spikes": to_plain(SpikeSettings()), **values}
    for group, added in _LATER.items():
        known = found.get(group)
        if isinstance(known, Mapping):
            found[group] = {**added, **known}
    return found


def levels_in_todays_places(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Stored noise levels whose parameters of all distributions stood beside each other."""
    ours = {key: value for key, value in levels.items() if key in ("stratified", "together")}
    given = {key: value for key, value in levels.items() if key not in ours and value is not None}
    sampler = from_tagged(LEVEL_DISTRIBUTIONS, given, "config.objective.noise_levels")
    return {**ours, "sampler": to_tagged(sampler, LEVEL_DISTRIBUTIONS)}
