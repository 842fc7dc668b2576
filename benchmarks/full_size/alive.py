"""Bytes of all models that live at once, counted while prompts and pictures of a full-size generator are encoded.

    python -m benchmarks full_size alive --generator FOLDER [--dtype bfloat16]

One block of the transformer, every text encoder in turn, the autoencoder; a folder with fewer layers of T5 will do
(`full_size pipeline --t5-layers 2`). Every model that the interpreter still holds is counted, whoever holds it, each
time that one begins to compute. Ends with status 1 where two of them lived at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from dina_lrm.backbones.loads import components
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.data.encoding.encoders import encoding_backbone
from tests.backbones.alive import AliveModels

BATCHES = (["a red cube", "the large blue ball"], ["green table on the left"])


def counted(generator: Path, dtype: torch.dtype, stay: bool = False) -> dict[str, object]:
    """What lived at once, in GiB, beside the largest that there is."""
    backbone = encoding_backbone(str(generator), dtype=dtype, encoders=EncoderSettings(stay=stay))
    largest = max(each.bytes_in(dtype) for each in components(backbone.config) if each.role != "model")
    with AliveModels() as alive:
        backbone.encode_images(torch.zeros(1, 3, 256, 256))
        for _ in backbone.encode_prompt_batches(BATCHES):
            pass
    found = {"stay": stay, "models": alive.calls, "at once": alive.together}
    return {**found, "most": round(alive.most_bytes / 2**30, 2), "largest": round(largest / 2**30, 2)}


def main(argv: Sequence[str]) -> None:
    """Count with encoders that go, and with encoders that stay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generator", type=Path, required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    given = parser.parse_args(argv)
    goes, stays = (counted(given.generator, getattr(torch, given.dtype), stay) for stay in (False, True))
    print(json.dumps(goes), json.dumps(stays), sep="\n")
    sys.exit(goes["at once"] != 1)
