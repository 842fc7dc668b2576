"""In what unit the reward speaks at each noise level: measured once, on samples of the base model.

The deviation of a reward's scores differs between levels, and so does what they foretell. Both are found within
prompts, as advantages are, from base samples whose states were read at every level on their way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from dina_lrm.alignment.algorithms.groups import finite, group_means, groups_of
from dina_lrm.typed import DinaError

_FINAL = "finished"


@dataclass(frozen=True)
class LevelScales:
    """Of each state by its number in the schedule: the deviation of its scores, and their slope."""

    deviation: Mapping[int, float]
    slope: Mapping[int, float]
    """By how much the finished sample's reward rises where the state's score does by 1."""
    final: float
    """Deviation of the finished samples' rewards."""

    def factors(self, numbers: Sequence[int], how: str) -> Float[Tensor, " states"]:
        """What scores of states are multiplied by: 1 / deviation, or the slope. ValueError for an unknown state."""
        missing = [number for number in numbers if number not in self.deviation]
        if missing:
            raise DinaError(f"level scales: nothing is known of state {missing[0]}; known: {sorted(self.deviation)}")
        if how == "slope":
            return torch.tensor([self.slope[number] for number in numbers], dtype=torch.float64)
        return 1 / torch.tensor([self.deviation[number] for number in numbers], dtype=torch.float64)

    def to_plain(self) -> dict[str, tuple[float, float]]:
        """Plain values, as they are stored."""
        states = {f"state {n}": (self.deviation[n], self.slope[n]) for n in sorted(self.deviation)}
        return {_FINAL: (self.final, 1.0), **states}

    @classmethod
    def of_plain(cls, values: Mapping[str, tuple[float, float]]) -> LevelScales:
        """What `to_plain` gave. ValueError for other names."""
        states = {name.removeprefix("state "): pair for name, pair in values.items() if name != _FINAL}
        if _FINAL not in values or not states or not all(name.isdecimal() for name in states):
            raise DinaError(f"level scales: {sorted(values)}; accepted: {_FINAL!r}, and a 'state N' each")
        deviation = {int(name): pair[0] for name, pair in states.items()}
        return cls(deviation, {int(name): pair[1] for name, pair in states.items()}, values[_FINAL][0])


def level_scales(
    scores: Float[Tensor, "samples states"], final: Float[Tensor, " samples"], prompt_ids: Int64[Tensor, " samples"]
) -> LevelScales:
    """Scales of the states 0, 1, ... from the scores of base samples on their way, and the rewards of their ends.

    A slope below 0, which few samples give by chance at high noise, is 0: such scores foretell nothing.

    Raises:
        ValueError: for scores that are not finite, groups of one, and where the reward tells no images apart.
    """
    ends = _centred(final, prompt_ids)
    deviation, slope = {}, {}
    for number, column in enumerate(scores.unbind(1)):
        values = _centred(column, prompt_ids)
        variance = float(values.square().mean())
        if not variance > 0:
            raise DinaError(
                f"level scales: scores of state {number} are the same for all {len(values)} base samples of a prompt; "
                "accepted: a reward that tells them apart, or --grpo.dense.level-scale none"
            )
        deviation[number] = variance**0.5
        slope[number] = max(0.0, float((values * ends).mean()) / variance)
    spread = float(ends.square().mean()) ** 0.5
    if not spread > 0:
        raise DinaError("level scales: the reward tells no base samples of a prompt apart; accepted: one that does")
    return LevelScales(deviation, slope, spread)


def _centred(values: Tensor, prompt_ids: Tensor) -> Float[Tensor, " samples"]:
    group, counts = groups_of(prompt_ids, len(values))
    values = finite("scores of base samples", values)
    return values - group_means(values, group, counts)[group]
