"""Weights that a job of full size holds at once, counted from the headers of files: nothing is loaded.

    python -m benchmarks full_size weights --generator FOLDER [--depth 12]

"together" is how models were held that were all loaded in float32 when they were first used; "in turn" is the model and
the largest of what is beside it, text encoders in the type that they are stored in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from dina_lrm.backbones.anatomy import anatomy_of
from dina_lrm.backbones.loads import Component, components
from dina_lrm.backbones.settings import BackboneConfig


def counted(generator: Path, depth: int, dtype: torch.dtype) -> dict[str, object]:
    """GiB of each component in the type of computing, and of what is in memory at once in either way."""
    family = anatomy_of(str(generator)).family
    config = BackboneConfig(family, str(generator), depth, visual_taps=(depth,), prompt_length=128)
    found = components(config)
    model, beside = found[0], found[1:]
    held = {each.name: _gib(each.bytes_in(dtype)) for each in found}
    together = sum(_wide(each) for each in found)
    in_turn = model.bytes_in(dtype) + max(each.bytes_in(dtype) for each in beside)
    return {"depth": depth, "dtype": str(dtype), **held, "together": _gib(together), "in turn": _gib(in_turn)}


def _wide(component: Component) -> int:
    return component.parameters * torch.float32.itemsize


def _gib(count: int) -> float:
    return round(count / 2**30, 2)


def main(argv: Sequence[str]) -> None:
    """Print a line for `prepare` (one block) and one for `score`, in both types."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--depth", type=int, default=12)
    given = parser.parse_args(argv)
    for depth in (1, given.depth):
        for dtype in (torch.float32, torch.bfloat16):
            print(json.dumps(counted(given.generator, depth, dtype)))
