"""Load the first blocks of a transformer: only the tensors that are used are read from disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.modeling_utils import ModelMixin
from safetensors import safe_open
from torch import Tensor, nn

_STEM = "diffusion_pytorch_model"
_VARIANTS = (None, "fp16", "bf16")


@dataclass(frozen=True)
class Kept:
    """Which part of a transformer is wanted: `depth` entries of the list `blocks`, and nothing of `dropped`."""

    blocks: str
    depth: int
    dropped: tuple[str, ...]

    def covers(self, tensor_name: str) -> bool:
        """Whether a tensor belongs to that part."""
        head, _, rest = tensor_name.partition(".")
        if head == self.blocks:
            return int(rest.partition(".")[0]) < self.depth
        return head not in self.dropped


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
    with torch.device("meta"):
        model = model_class.from_config(config)
    setattr(model, kept.blocks, nn.ModuleList(list(model.get_submodule(kept.blocks))[: kept.depth]))
    for name in kept.dropped:
        setattr(model, name, nn.Identity())
    files = tensor_files(folder)
    wanted, stored = set(model.state_dict()), {name for name in files if kept.covers(name)}
    if wanted != stored:
        missing, unexpected = sorted(wanted - stored), sorted(stored - wanted)
        raise ValueError(
            f"{folder}: missing tensors {missing[:5]}, unexpected tensors {unexpected[:5]} (at most 5 shown)"
        )
    model.load_state_dict(_read(files, sorted(wanted), device, dtype), assign=True)
    return model


def stored_variant(folder: Path) -> str | None:
    """The weight variant to ask diffusers and transformers for in a model folder: None where there are plain files."""
    names = [path.name for path in folder.glob("*.safetensors")]
    for variant in filter(None, _VARIANTS):
        if names and all(f".{variant}" in name for name in names):
            return variant
    return None


def tensor_files(folder: Path) -> dict[str, Path]:
    """The safetensors file of each tensor of a diffusers model folder: one file or shards, full or of a variant.

    Raises FileNotFoundError when there is none.
    """
    for variant in _VARIANTS:
        middle = "" if variant is None else f".{variant}"
        single = folder / f"{_STEM}{middle}.safetensors"
        if single.is_file():
            with safe_open(single, framework="pt") as tensors:
                return dict.fromkeys(tensors.keys(), single)
        for index in (f"{_STEM}.safetensors.index{middle}.json", f"{_STEM}{middle}.safetensors.index.json"):
            if (folder / index).is_file():
                shards: dict[str, str] = json.loads((folder / index).read_text())["weight_map"]
                return {name: folder / shard for name, shard in shards.items()}
    raise FileNotFoundError(
        f"{folder}: no weights; expected {_STEM}.safetensors or its shards with an index, plain or of a variant "
        f"({', '.join(variant for variant in _VARIANTS if variant)})"
    )


def _read(
    files: Mapping[str, Path], names: Sequence[str], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in sorted({files[name] for name in names}):
        with safe_open(path, framework="pt") as stored:
            for name in names:
                if files[name] == path:
                    # A copy, because tensors inside a file buffer are not aligned, and products then round differently.
                    tensors[name] = stored.get_tensor(name).to(device=device, dtype=dtype, copy=True)
    return tensors
