"""T5 with its matrices rounded to 8 bits when it is loaded, by transformers and torchao: half of the memory.

Each row of a matrix has a scale of its own (symmetric, weights alone); products are taken in the type of computing.
What T5 says of a prompt changes with it, so that whoever encodes so says so: `BackboneConfig.t5_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from dina_lrm.backbones.dtype_argument import for_transformers
from dina_lrm.backbones.loads import text_encoder_names
from dina_lrm.backbones.weight_files import stored_variant
from dina_lrm.model_folders import INDEX, check_model_folder, expect_safetensors, loading
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError

_NEEDED: Final = "torchao"


def t5_to_round(folder: Path, absent: Sequence[str]) -> tuple[str, ...]:
    """The T5 of a pipeline folder by its name; ValueError where there is none, or without the library that rounds."""
    index = read_json_object(folder / INDEX)
    kinds = {name: index[name][1] for name in text_encoder_names(folder) if name not in absent}
    found = tuple(name for name, kind in kinds.items() if str(kind).startswith("T5"))
    if not found:
        held = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        raise DinaError(
            f"t5_weights: got '8bit', but {folder} encodes prompts by {held}; accepted: 'stored', or a generator with "
            "a T5 (Stable Diffusion 3, FLUX.1) and a prompt length above 0"
        )
    if find_spec(_NEEDED) is None:
        raise DinaError(
            f"t5_weights: got '8bit', which needs {_NEEDED}, and that is not installed; accepted: 'stored', or "
            f"pip install {_NEEDED}"
        )
    return found


def load_in_8_bits(place: Path, kind: type[Any], dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The encoder, frozen, on `device`; rounded matrix by matrix while it is read."""
    from torchao.quantization import Int8WeightOnlyConfig  # not a part of the installation
    from transformers import TorchAoConfig

    check_model_folder(place)
    expect_safetensors(place)
    with loading(place):
        encoder: nn.Module = kind.from_pretrained(
            place,
            **for_transformers(dtype),
            variant=stored_variant(place),
            use_safetensors=True,
            quantization_config=TorchAoConfig(Int8WeightOnlyConfig()),
        )
    return encoder.requires_grad_(False).eval().to(device)
