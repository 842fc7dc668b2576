"""What all pages of a studio share: the model, and how it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from dina_lrm.collecting.asking.collection import Collection
from dina_lrm.precision import default_device
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.latent import ImageReward
from dina_lrm.rewards.names import check_rewards, load_reward
from dina_lrm.studio.bench import Bench
from dina_lrm.studio.settings import StudioSettings


@dataclass(frozen=True, eq=False)
class Room:
    """The model under its name, and the names of other judges."""

    model: LatentRewardModel
    name: str
    judges: tuple[str, ...]
    device: str = "cpu"
    collection: Collection | None = None
    """What people vote on in the studio, where that was asked for."""
    bench: Bench = field(default_factory=Bench)
    """Where what takes long is done, one work at a time."""
    _rewards: list[Reward] = field(default_factory=list, init=False)

    @property
    def score_names(self) -> tuple[str, ...]:
        """The model's scores by name, the main one first; none where it has a single one or is a weighted sum."""
        if self.model.weights:
            return ()
        main, every = self.model.config.main, self.model.config.scores
        return tuple(sorted(every, key=lambda name: name != main))

    def model_of(self, score: str | None) -> LatentRewardModel:
        """The model as one of its named scores; None is the main one."""
        return self.model if score is None else self.model.named(score)

    @property
    def reward_names(self) -> tuple[str, ...]:
        """The model as a judge of pictures, and the other judges."""
        return (f"image:{self.name}", *self.judges)

    def rewards(self) -> Sequence[Reward]:
        """All judges of pictures; the others are loaded once, when they are first asked for."""
        if not self._rewards:
            own = ImageReward(self.model, name=self.reward_names[0])
            self._rewards.extend([own, *map(load_reward, self.judges)])
        return self._rewards


def load_room(settings: StudioSettings, device: str | None = None, dtype: torch.dtype | None = None) -> Room:
    """Load the model. Raises DinaError for one that is none, and for judges that are none."""
    check_rewards(settings.judges)
    place = default_device() if device in (None, "auto") else str(device)
    model = LatentRewardModel.from_pretrained(settings.model, device=place, dtype=dtype, backbone=settings.backbone)
    return Room(model, settings.model, settings.judges, place)
