"""A reward model as it lies on disk, whichever format it has: configuration and tensors, without a backbone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class StoredModel:
    """The content of a reward model's folder, as it is read and written."""

    config: RewardModelConfig
    head: Mapping[str, Tensor]
    lora: Path | None = None
    """A PEFT folder."""
    backbone: Mapping[str, Tensor] | None = None
    """Weights of the transformer under the names diffusers gives them, when all of them were trained."""
    text_encoders: Path | None = None
    """A folder with `text_encoder/` (and `text_encoder_2/`), when they were trained too."""


def copy_strictly(what: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Copy `given` into `own` in place; a missing, unexpected or misshapen tensor is a ValueError that names it."""
    check_strictly(what, own, given)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])


def check_strictly(what: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise ValueError naming any tensor that `given` lacks, has too many, or has in another shape than `own`."""
    missing, unexpected = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or unexpected:
        raise DinaError(f"{what}: missing tensors: {_some(missing)}; unexpected tensors: {_some(unexpected)}")
    for name, tensor in own.items():
        if tensor.shape != given[name].shape:
            found, wanted = tuple(given[name].shape), tuple(tensor.shape)
            raise DinaError(f"{what}: tensor {name} has shape {found}; accepted: {wanted}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError naming the file for anything else."""
    return read_json_object(existing(path))


def existing(path: Path) -> Path:
    """`path`, or FileNotFoundError saying what is missing of the model."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: missing; without it the reward model is not complete")
    return path


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5]) or "none"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
