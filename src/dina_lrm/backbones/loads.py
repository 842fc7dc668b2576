"""What a job loads of a generator, and how many bytes that is: from the headers of files, nothing is loaded.

components(config)                    the model as deep as it is read, the autoencoder, every text encoder
component.bytes_in(torch.float32)     what its weights take in memory when the job computes in float32
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch

from dina_lrm.backbones.families import FAMILIES
from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.backbones.weight_files import DIFFUSERS, TRANSFORMERS, tensor_files
from dina_lrm.model_folders import INDEX
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.tensor_files import opened_tensors

Role = Literal["model", "autoencoder", "text encoder"]

_TYPES: Final[Mapping[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types by their names in a safetensors header."""


@dataclass(frozen=True)
class Component:
    """One model of a pipeline folder, as far as a job loads it; `stored` says how many numbers there are of a type."""

    name: str
    """As `model_index.json` calls it: transformer, vae, text_encoder_3."""
    role: Role
    folder: Path
    stored: Mapping[torch.dtype, int]

    @property
    def parameters(self) -> int:
        """Numbers in its tensors."""
        return sum(self.stored.values())

    @property
    def bytes_stored(self) -> int:
        """What these tensors take in their files."""
        return sum(count * dtype.itemsize for dtype, count in self.stored.items())

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that most of them are stored in; float32 where there is none."""
        floating = {dtype: count for dtype, count in self.stored.items() if dtype.is_floating_point}
        return max(floating, key=lambda dtype: floating[dtype] * dtype.itemsize, default=torch.float32)

    def bytes_in(self, dtype: torch.dtype) -> int:
        """What they take in memory where the job computes in `dtype`: what a text encoder is stored in more narrowly
        stays so, and is mapped from its file.
        """
        held = held_dtype(self.dtype, dtype) if self.role == "text encoder" else dtype
        return sum(count * (held if each.is_floating_point else each).itemsize for each, count in self.stored.items())

    def bytes_in_turn(self, dtype: torch.dtype) -> int:
        """What a text encoder takes at once on the host where it has a turn of its own: its table of tokens, a layer
        and the next one, and a copy of a layer where it is cast, if it is mapped (`mapped_pages`); else all of it.
        """
        whole, held = self.bytes_in(dtype), held_dtype(self.dtype, dtype)
        config = read_json_object(self.folder / "config.json")
        text = config.get("text_config")
        told = text if isinstance(text, dict) else config
        layers = told.get("num_hidden_layers", told.get("num_layers"))
        width = told.get("hidden_size", told.get("d_model"))
        words = told.get("vocab_size")
        if held != self.dtype or not (sys.platform == "linux" and layers and width and words):
            return whole
        table = int(words) * int(width) * held.itemsize
        layer = (whole - table) / int(layers)
        return min(whole, round(table + 2 * layer + (layer * dtype.itemsize / held.itemsize if held != dtype else 0)))


def held_dtype(stored: torch.dtype, compute: torch.dtype) -> torch.dtype:
    """The type that a text encoder's weights are held in: the stored one where it is narrower than that of computing.

    A file of 16 bits then stays mapped as it is, and each block is cast while it runs.
    """
    return stored if stored.itemsize < compute.itemsize else compute


def components(
    config: BackboneConfig, *, autoencoder: bool = True, text_encoders: bool = True
) -> tuple[Component, ...]:
    """The models that a standalone backbone of `config` loads, or will load once it is asked for pictures and prompts.

    Raises ValueError and FileNotFoundError as loading does, for folders that hold no such generator.
    """
    family = FAMILIES[config.family].load_class()
    folder = generator_folder(config.pretrained, config.revision)
    _, kept = family.stored_part(config, folder)
    found = [_component(folder / family.component, "model", DIFFUSERS, kept.covers)]
    if autoencoder:
        found.append(_component(folder / "vae", "autoencoder", DIFFUSERS))
    if text_encoders:
        left_out = family.components_left_out(config, folder)
        found += [
            _component(folder / name, "text encoder", TRANSFORMERS)
            for name in text_encoder_names(folder)
            if name not in left_out
        ]
    return tuple(found)


def text_encoder_names(folder: Path) -> tuple[str, ...]:
    """The text encoders that a pipeline folder lists, in the order in which pipelines call them."""
    index = read_json_object(folder / INDEX)
    return tuple(
        sorted(
            name
            for name, kind in index.items()
            if name.startswith("text_encoder") and isinstance(kind, list) and kind[1] is not None
        )
    )


def stored_type(folder: Path, stem: str) -> tuple[int, torch.dtype]:
    """How many numbers a model folder's files hold, and the floating type of most of them."""
    found = Component(folder.name, "model", folder, stored_types(folder, stem))
    return found.parameters, found.dtype


def _component(folder: Path, role: Role, stem: str, loaded: Callable[[str], bool] = lambda name: True) -> Component:
    return Component(folder.name, role, folder, stored_types(folder, stem, loaded))


def stored_types(folder: Path, stem: str, loaded: Callable[[str], bool] = lambda name: True) -> Counter[torch.dtype]:
    """How many numbers of each type a model folder's files hold in the tensors that are `loaded`."""
    files = {name: path for name, path in tensor_files(folder, stem).items() if loaded(name)}
    counts: Counter[torch.dtype] = Counter()
    for path in sorted(set(files.values())):
        with opened_tensors(path) as tensors:
            for name in (name for name, place in files.items() if place == path):
                header = tensors.get_slice(name)
                counts[_TYPES.get(header.get_dtype(), torch.float32)] += math.prod(header.get_shape())
    return counts
