"""A reward of pictures that takes its time, as a large model does."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from torch import Tensor


def slow(images: Tensor, prompts: Sequence[str]) -> Tensor:
    """The mean of each picture, after the seconds that the environment says."""
    time.sleep(float(os.environ["SLOW_REWARD_SECONDS"]))
    assert len(images) == len(prompts)
    return images.mean(dim=(1, 2, 3))
