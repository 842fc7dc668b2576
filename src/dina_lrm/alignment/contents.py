"""What a run's generator and rewards hold, so that a run that goes on notices when they were changed under their names.

Compared is what was loaded, wherever it lies (rewards/contents.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from dina_lrm.generators.generator import Generator
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.contents import content_of_reward, hash_of, parts_of_tensors


def contents(generator: Generator, rewards: Sequence[Reward]) -> dict[str, str]:
    """A hash of the generator without what learns, and of each reward, by what they are called in messages."""
    found = {"generator": hash_of(_of_generator(generator))}
    return found | {f"reward {reward.name}": content_of_reward(reward) for reward in rewards}


def _of_generator(generator: Generator) -> Iterable[bytes]:
    for component, module in sorted(generator.pipeline.components.items()):
        if isinstance(module, nn.Module):
            yield component.encode()
            # LoRAs of rewards lie on the same layers; what learns does too
            yield from parts_of_tensors(module, lambda name: ".lora_" not in name or ".beneath." in name)
