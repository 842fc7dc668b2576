"""A golden reward must have nothing to do with what is optimised: whether two rewards share anything.

Compared are objects, names, the folders or ids of weights (whatever family reads them), functions, and the weights
themselves, so that two copies of one judge loaded apart are one judge. Rewards inside a mixture count, and so do models
inside a reward. A latent reward model is known by its head: another head on the same generator is another judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType, MethodType
from typing import Final

import torch
from torch import Tensor, nn

from dina_lrm.locate import model_of_run
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.names import reward_family
from dina_lrm.rewards.relative_name import inner_name
from dina_lrm.typed import DinaError

_SAMPLES: Final = 16
"""Values of each tensor that are compared: weights that were trained differ in all."""


def check_disjoint(golden: Reward, objective: Sequence[Reward]) -> None:
    """Raise ValueError, naming both, where the golden reward shares anything with a reward of the objective."""
    own = dict(_marks(golden))
    for reward in objective:
        shared = next((told for mark, told in _marks(reward) if mark in own), None)
        if shared is not None:
            raise DinaError(
                f"golden reward {golden.name!r}: shares {shared} with {reward.name!r}, which takes part in the "
                "objective; accepted: a reward that nothing is optimised for"
            )


def shares_with_named(reward: Reward, names: Sequence[str]) -> bool:
    """Whether a reward, or a part of it, has a name or the weights of rewards that are known by name only."""
    named = {mark for name in names for mark, _ in _marks_of_name(name)}
    return any(mark in named for mark, _ in _marks(reward))


def _marks(value: object) -> Iterator[tuple[object, str]]:
    """What a reward can be recognised by, each with what it is in words."""
    if isinstance(value, Reward):
        yield id(value), "itself"
        yield from _marks_of_name(value.name)
    if isinstance(value, nn.Module):
        yield from _marks_of_model(value.head if isinstance(value, LatentRewardModel) else value)
    elif isinstance(value, FunctionType | MethodType):
        yield value, f"the function {value.__name__}"
    else:
        for part in _parts(value):
            yield from _marks(part)


def _parts(value: object) -> Sequence[object]:
    """What a reward, a sequence or a dataclass is made of; nothing for anything else."""
    if isinstance(value, list | tuple):
        return value
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    return list(vars(value).values()) if isinstance(value, Reward) else ()


def _marks_of_name(name: str) -> Iterator[tuple[object, str]]:
    yield ("name", name), f"the name {name!r}"
    if inner_name(name) != name:
        yield from _marks_of_name(inner_name(name))
    try:
        _, model = reward_family(name)
    except ValueError:  # a name of the caller's own
        return
    if model:
        place = Path(model).expanduser()
        yield ("weights", str(model_of_run(place).resolve()) if place.exists() else model), f"the weights {model!r}"


def _marks_of_model(model: nn.Module) -> Iterator[tuple[object, str]]:
    yield id(model), f"a {type(model).__name__}"
    weights = model.state_dict()
    if weights:
        yield ("content", _fingerprint(weights)), f"the weights of a {type(model).__name__}"


def _fingerprint(weights: dict[str, Tensor]) -> str:
    """A hash of shapes and of a few values of each tensor, in bfloat16: a copy in another precision is the same."""
    digest = hashlib.sha256()
    for _, tensor in sorted(weights.items()):
        flat = tensor.detach().flatten()
        values = flat[:: max(1, len(flat) // _SAMPLES)].to("cpu", torch.bfloat16).view(torch.int16)
        digest.update(f"{tuple(tensor.shape)}".encode() + values.numpy().tobytes())
    return digest.hexdigest()
