"""What a run's generator and rewards hold, so that a run that goes on notices when they were changed under their names.

Compared is what was loaded, wherever it lies: values of every tensor, rounded to bfloat16 so that another precision is
no change, numbers beside them (a mean, a temperature, a mixture's weights), and the source of functions.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType, MethodType
from typing import Final

import torch
from torch import Tensor, nn

from dina_lrm.alignment.generator import Generator
from dina_lrm.model import LatentRewardModel
from dina_lrm.rewards.base import Reward
from dina_lrm.runs.content import content_of

_VALUES: Final = 4096
"""Of each tensor, evenly spread: weights that were trained on differ in all of them."""


def contents(generator: Generator, rewards: Sequence[Reward]) -> dict[str, str]:
    """A hash of the generator without what learns, and of each reward, by what they are called in messages."""
    found = {"generator": _hash(_of_generator(generator))}
    return found | {f"reward {reward.name}": _hash(_of_value(reward)) for reward in rewards}


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _of_generator(generator: Generator) -> Iterable[bytes]:
    for component, module in sorted(generator.pipeline.components.items()):
        if isinstance(module, nn.Module):
            yield component.encode()
            # LoRAs of rewards lie on the same layers; what learns does too
            yield from _of_tensors(module, lambda name: ".lora_" not in name or ".beneath." in name)


def _of_value(value: object) -> Iterable[bytes]:
    """What can be told of a reward or a part of one; its class alone for what is neither plain nor weights."""
    yield type(value).__qualname__.encode()
    if isinstance(value, LatentRewardModel):
        yield json.dumps(value.config.to_dict() | {"backbone": None, "notes": None}, sort_keys=True).encode()
        yield from _of_tensors(value.head)
        for name, tensor in sorted(value.backbone.lora_state_dict().items()) if value.config.lora is not None else ():
            yield from _of_tensor(name, tensor)
    elif isinstance(value, nn.Module):
        yield from _of_tensors(value)
    elif isinstance(value, FunctionType | MethodType):
        yield _source(value)
    elif isinstance(value, str | int | float | bool | None):
        yield repr(value).encode()
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _of_value(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name != "name":  # the same weights may lie in another place
                yield field.name.encode()
                yield from _of_value(getattr(value, field.name))


def _of_tensors(module: nn.Module, wanted: Callable[[str], bool] = lambda name: True) -> Iterable[bytes]:
    for name, tensor in sorted(module.state_dict().items()):
        if wanted(f".{name}"):
            # PEFT puts a layer that it adapts one level deeper
            yield from _of_tensor(name.replace(".base_layer.", "."), tensor)


def _of_tensor(name: str, tensor: Tensor) -> Iterable[bytes]:
    flat = tensor.detach().flatten()
    values = flat[:: max(1, len(flat) // _VALUES)].to("cpu", torch.bfloat16).contiguous().view(torch.int16)
    yield f"{name} {tuple(tensor.shape)}".encode()
    yield values.numpy().tobytes()


def _source(function: FunctionType | MethodType) -> bytes:
    """The file that a function is written in, or its name where there is none."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        path = None
    return (content_of(path) if path is not None and Path(path).is_file() else function.__qualname__).encode()
