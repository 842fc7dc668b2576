"""How rewards are configured and called: dotted paths, keys that are not the trainer's own, lists of fields."""

import inspect
from dataclasses import dataclass, field
from importlib import import_module
from types import SimpleNamespace

import torch
from flow_factory.rewards.abc import PointwiseRewardModel

OWN = ("name", "reward_model", "weight", "dtype", "device", "batch_size", "async_reward", "num_workers")


@dataclass
class Arguments:
    reward_model: str
    dtype: torch.dtype = torch.bfloat16
    device: torch.device = field(default_factory=lambda: torch.device("cuda"))
    batch_size: int = 16
    extra_kwargs: dict = field(default_factory=dict)

    @classmethod
    def of(cls, entry):
        extra = {key: value for key, value in entry.items() if key not in OWN}
        dtype = getattr(torch, entry.get("dtype", "bfloat16"))
        return cls(entry["reward_model"], dtype, batch_size=entry.get("batch_size", 16), extra_kwargs=extra)


def loaded(entry):
    """The reward of an entry of the configuration, on the CPU."""
    arguments = Arguments.of(entry)
    module, _, name = arguments.reward_model.rpartition(".")
    made = getattr(import_module(module), name)(arguments, SimpleNamespace(device=torch.device("cpu")))
    assert isinstance(made, PointwiseRewardModel)
    return made


def computed(reward, samples):
    """The rewards of samples, dictionaries of fields; a field that is None for one is left out for all."""
    known = inspect.signature(reward.__call__).parameters
    named = [name for name in samples[0] if name in known]
    given = {name: [sample[name] for sample in samples] for name in named if all(s[name] is not None for s in samples)}
    return torch.as_tensor(reward(**given).rewards, device="cpu", dtype=torch.float32)
