"""A weighted sum of rewards, each as a z-score so that their scales do not matter.

r(x, c) = sum_i w_i (r_i(x, c) - mean_i) / std_i
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.rewards.base import Reward, RewardKind, load_reward
from dina_lrm.typed import from_plain


@dataclass(frozen=True)
class MixtureItem:
    """A reward by name, its weight, and the mean and standard deviation of its scores."""

    reward: str
    weight: float = 1.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise ValueError(f"mixture, {self.reward}: weight and mean must be finite, std above 0; given: {self}")


@final
@dataclass(frozen=True, eq=False)
class Mixture:
    """Several rewards of one kind. A score that one of them does not give is missing (NaN) in the sum."""

    items: tuple[MixtureItem, ...]
    rewards: tuple[Reward, ...]
    name: str = "mixture"

    def __post_init__(self) -> None:
        kinds = {reward.name: reward.kind for reward in self.rewards}
        if not kinds or len(set(kinds.values())) > 1:
            raise ValueError(f"{self.name}: {kinds or 'no rewards'}; accepted: one or more rewards that read the same")

    @classmethod
    def load(cls, model: str, loaded: Callable[[str], Reward] = load_reward) -> Mixture:
        """A JSON file: a list of {"reward": NAME, "weight": w, "mean": m, "std": s}; `loaded` makes each of them."""
        path = Path(model)
        if not path.is_file():
            raise ValueError(f"mixture:{model}: no such file; accepted: a JSON list of rewards with weight, mean, std")
        try:
            items = tuple(from_plain(MixtureItem, row) for row in json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        return cls(items, tuple(loaded(item.reward) for item in items), f"mixture:{model}")

    @property
    def kind(self) -> RewardKind:
        """What all of them read."""
        return self.rewards[0].kind

    @property
    def differentiable(self) -> bool:
        """Whether all of them are."""
        return all(reward.differentiable for reward in self.rewards)

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Weighted sum of the z-scores."""
        return self.combined([reward(inputs, prompts) for reward in self.rewards])

    def combined(self, scores: Sequence[Float32[Tensor, " batch"]]) -> Float32[Tensor, " batch"]:
        """The sum for the scores of its rewards, each a tensor on a device of its own; on that of the first."""
        place = scores[0].device
        pairs = zip(self.items, scores, strict=True)
        parts = [item.weight * (found.to(place) - item.mean) / item.std for item, found in pairs]
        return sum(parts[1:], start=parts[0])
