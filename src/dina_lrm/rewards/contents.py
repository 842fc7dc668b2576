"""What a reward holds, so that whatever was measured with it is known again, or known to be old.

Compared is what was loaded, wherever it lies: values of every tensor, rounded to bfloat16 so that another precision is
no change, numbers beside them (a mean, a temperature, a mixture's weights), and the source of functions.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FunctionType, MethodType
from typing import Final

import torch
from torch import Tensor, nn

from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.base import KnownByContent
from dina_lrm.runs.content import content_of

_VALUES: Final = 4096
"""How many values of each tensor are read, evenly spread: weights that were trained on differ in all of them."""


def content_of_reward(reward: object) -> str:
    """A hash of a reward, or of anything that one is made of."""
    return hash_of(parts_of_value(reward))


def weights_hash(folder: Path) -> str:
    """One hash of the configuration and the weights of a reward model folder: they decide its scores."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors", ".pt")):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder)} {hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    return digest.hexdigest()


def hash_of(parts: Iterable[bytes]) -> str:
    """One hash of some bytes, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def parts_of_value(value: object) -> Iterable[bytes]:
    """What can be told of a reward or a part of one; its class alone for what is neither plain nor weights."""
    yield type(value).__qualname__.encode()
    if isinstance(value, LatentRewardModel):
        told = value.config.to_dict() | {"backbone": None, "notes": None}
        if not value.config.scores:  # as of a model of an earlier version
            told = {name: told[name] for name in told if name not in ("scores", "main_score", "other_scales")}
        yield json.dumps(told, sort_keys=True).encode()
        if value.weights:
            yield json.dumps(value.weights, sort_keys=True).encode()
        yield from parts_of_tensors(value.head)
        for name, tensor in sorted(value.backbone.lora_state_dict().items()) if value.config.lora is not None else ():
            yield from _of_tensor(name, tensor)
    elif isinstance(value, KnownByContent):
        yield value.content.encode()
    elif isinstance(value, nn.Module):
        yield from parts_of_tensors(value)
    elif isinstance(value, FunctionType | MethodType):
        yield _source(value)
    elif isinstance(value, str | int | float | bool | None):
        yield repr(value).encode()
    elif isinstance(value, list | tuple):
        for item in value:
            yield from parts_of_value(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name != "name":  # the same weights may lie in another place
                yield field.name.encode()
                yield from parts_of_value(getattr(value, field.name))


def parts_of_tensors(module: nn.Module, wanted: Callable[[str], bool] = lambda name: True) -> Iterable[bytes]:
    """Names, shapes and values of the tensors of a module whose names are wanted."""
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
