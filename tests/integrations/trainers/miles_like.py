"""How miles_diffusion calls a reward function, and the samples that it hands over: our own copy of that interface."""

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch


@dataclass
class Trajectory:
    latents: torch.Tensor | None = None
    timesteps: torch.Tensor | None = None
    sigmas: torch.Tensor | None = None


@dataclass
class Sample:
    prompt: str = ""
    generated_output: torch.Tensor | None = None
    dit_trajectory: Trajectory | None = None
    reward: Any = None


def load_function(path):
    """Of "module.function"."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


async def rewarded(args, group, microgroup_size=2, group_rm=False):
    """Rewards of a group: of microgroups that are scored at the same time, or of all at once."""
    function = load_function(args.custom_rm_path)
    size = len(group) if group_rm else microgroup_size
    parts = [group[start : start + size] for start in range(0, len(group), size)]
    found = await asyncio.gather(*(function(args, part) for part in parts))
    for part, rewards in zip(parts, found, strict=True):
        for sample, reward in zip(part, rewards, strict=True):
            sample.reward = reward
    return [sample.reward for sample in group]
