"""Load the first blocks of a transformer: only the tensors that are used are read from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from dina_lrm.backbones.weight_files import tensor_files
from dina_lrm.model_folders import loading
from dina_lrm.runs.tensor_files import opened_tensors
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Kept:
    """Which part of a transformer is wanted: `depth` entries of the list `blocks`, and nothing of `dropped`.

    `more_blocks` says how many are wanted of other lists; what is named nowhere is wanted whole.
    """

    blocks: str
    depth: int
    dropped: tuple[str, ...]
    more_blocks: Mapping[str, int] = field(default_factory=dict)

    @property
    def lists(self) -> dict[str, int]:
        """How many entries are wanted of each list of blocks."""
        return {self.blocks: self.depth, **self.more_blocks}

    def covers(self, tensor_name: str) -> bool:
        """Whether a tensor belongs to that part."""
        head, _, rest = tensor_name.partition(".")
        if head in self.lists:
            return int(rest.partition(".")[0]) < self.lists[head]
        return not any(tensor_name.startswith(f"{name}.") for name in self.dropped)


def load_truncated(
    model_class: type[ModelMixin],
    config: Mapping[str, Any],
    folder: Path,
    kept: Kept,
    device: torch.device,
    dtype: torch.dtype,
) -> ModelMixin:
    """The model of `config` with its blocks beyond the depth gone, filled from `folder`.

    Raises ValueError naming the tensors that the part needs and the files lack, or that the files have for it and the
    model does not know.
    """
    # Parameters have no storage until they are read; tables that the model computes for itself are in no file.
    with loading(folder), init_empty_weights(include_buffers=False):
        model = model_class.from_config(config)
    for name, count in kept.lists.items():
        setattr(model, name, nn.ModuleList(list(model.get_submodule(name))[:count]))
    for name in kept.dropped:
        parent, _, own = name.rpartition(".")
        model.get_submodule(parent)._modules[own] = nn.Identity()
    files = tensor_files(folder)
    wanted, stored = set(model.state_dict()), {name for name in files if kept.covers(name)}
    if wanted != stored:
        missing, unexpected = sorted(wanted - stored), sorted(stored - wanted)
        raise DinaError(
            f"{folder}: missing tensors {missing[:5]}, unexpected tensors {unexpected[:5]} (at most 5 shown)"
        )
    model.load_state_dict(_read(files, sorted(wanted), device, dtype), assign=True)
    # nn.Module's own: diffusers' warns of layers kept in float32, of which a fresh model has none
    return nn.Module.to(model, device)


def _read(
    files: Mapping[str, Path], names: Sequence[str], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted({files[name] for name in names}):
        with opened_tensors(path) as stored:
            for name in names:
                if files[name] == path:
                    # A copy, because tensors inside a file buffer are not aligned, and products then round differently.
                    tensors[name] = stored.get_tensor(name).to(device=device, dtype=dtype, copy=True)
    return tensors
