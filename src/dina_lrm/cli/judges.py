"""The judges that a command line names: latent reward models, and rewards by family."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dina_lrm.evaluation.judges import PictureJudge


def is_reward(name: str) -> bool:
    """Whether a name is that of a reward ("clip:MODEL", "sharpness") rather than of a latent reward model."""
    from dina_lrm.rewards.base import REWARDS

    family = name.partition(":")[0]
    return family in REWARDS and family not in ("latent", "image") and not Path(name).exists()


def check_rewards(names: Iterable[str]) -> None:
    """ValueError for a name that is no reward's, before anything is loaded or drawn."""
    from dina_lrm.rewards.base import reward_family

    for name in names:
        reward_family(name)


def picture_judge(name: str, batch_size: int) -> PictureJudge:
    """The judge of a reward's name. Raises ValueError when its weights are not there, or it reads latents."""
    from dina_lrm.evaluation.judges import PictureJudge
    from dina_lrm.rewards.base import load_reward

    return PictureJudge(load_reward(name), name, batch_size)
