"""A pipeline folder of Stable Diffusion 3.5 Medium's architecture with random weights.

    python -m benchmarks full_size pipeline --out FOLDER [--t5-layers N] [--blocks N] [--dtype bfloat16] [--seed 0]

The published configuration: 24 blocks of 1,536 (2.2 B with the table of positions), two CLIP text encoders (0.12 and
0.69 B), T5-XXL's encoder (4.8 B), the autoencoder of 16 channels: 16 GB in bfloat16. With fewer layers of T5, or fewer
blocks, every other number stays. Weights are drawn so that activations keep their size, written shard by shard, so that
no more than one shard is in memory. Vocabularies are small, T5's and CLIP's tables of embeddings keep their size.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from dina_lrm.profiling.architectures import SD35_MEDIUM
from dina_lrm.profiling.encoders import AUTOENCODER, CLIP_G, CLIP_L, T5_XXL
from tests.tiny import tiny_clip_tokenizer, tiny_t5_tokenizer

BLOCKS: Final = 24
T5_LAYERS: Final = 24
CLIP_TOKENS: Final = 77
SHARD_BYTES: Final = 2 * 10**9


def write_pipeline(
    out: Path,
    *,
    t5_layers: int = T5_LAYERS,
    blocks: int = BLOCKS,
    dtype: torch.dtype = torch.bfloat16,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write the folder, which must not exist; the same `seed` gives the same bytes."""
    out.mkdir(parents=True)
    draw = torch.Generator().manual_seed(seed)
    clip = tiny_clip_tokenizer()
    clip.model_max_length = CLIP_TOKENS
    long = tiny_t5_tokenizer()
    for name in ("tokenizer", "tokenizer_2"):
        clip.save_pretrained(out / name)
    long.save_pretrained(out / "tokenizer_3")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(out / "scheduler")
    for name, model in empty_models(t5_layers, blocks).items():
        write_model(model, out / name, dtype, draw, shard_bytes)
    index = {"_class_name": StableDiffusion3Pipeline.__name__, "_diffusers_version": "0.42.0"}
    classes = {
        "transformer": ("diffusers", SD3Transformer2DModel),
        "vae": ("diffusers", AutoencoderKL),
        "scheduler": ("diffusers", FlowMatchEulerDiscreteScheduler),
        "text_encoder": ("transformers", CLIPTextModelWithProjection),
        "text_encoder_2": ("transformers", CLIPTextModelWithProjection),
        "text_encoder_3": ("transformers", T5EncoderModel),
        "tokenizer": ("transformers", type(clip)),
        "tokenizer_2": ("transformers", type(clip)),
        "tokenizer_3": ("transformers", type(long)),
    }
    listed = {name: [library, kind.__name__] for name, (library, kind) in classes.items()}
    (out / "model_index.json").write_text(json.dumps(index | listed, indent=2))
    return out


def empty_models(t5_layers: int = T5_LAYERS, blocks: int = BLOCKS) -> dict[str, nn.Module]:
    """Every model of the pipeline by its component's name, without storage."""
    with init_empty_weights(include_buffers=True):
        return {
            "transformer": _transformer(blocks),
            "vae": AutoencoderKL(**AUTOENCODER, **_LATENTS),
            "text_encoder": CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_L)),
            "text_encoder_2": CLIPTextModelWithProjection(CLIPTextConfig(**CLIP_G)),
            "text_encoder_3": T5EncoderModel(T5Config(**{**T5_XXL, **_ENCODER_ALONE, "num_layers": t5_layers})),
        }


def write_model(
    model: nn.Module, folder: Path, dtype: torch.dtype, draw: torch.Generator, shard_bytes: int = SHARD_BYTES
) -> None:
    """Configuration and random weights of a model without storage, in one file or in shards with their index."""
    folder.mkdir()
    configuration: Any = model.config  # type: ignore[union-attr]
    if isinstance(configuration, Mapping):
        model.save_config(folder)  # type: ignore[operator]
    else:
        configuration.architectures, configuration.dtype = [type(model).__name__], dtype
        configuration.save_pretrained(folder)
    stem = "diffusion_pytorch_model" if isinstance(configuration, Mapping) else "model"
    shards = list(_shards(_shapes(model), dtype.itemsize, shard_bytes))
    named: dict[str, str] = {}
    for number, shapes in enumerate(shards, 1):
        part = "" if len(shards) == 1 else f"-{number:05}-of-{len(shards):05}"
        file = f"{stem}{part}.safetensors"
        tensors = {name: _drawn(name, shape, draw).to(dtype) for name, shape in shapes.items()}
        save_file(tensors, folder / file, {"format": "pt"})
        named |= dict.fromkeys(shapes, file)
    if len(shards) > 1:
        total = sum(math.prod(shape) for shard in shards for shape in shard.values()) * dtype.itemsize
        index = {"metadata": {"total_size": total}, "weight_map": named}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))


_ENCODER_ALONE: Final[Mapping[str, Any]] = {"is_encoder_decoder": True, "tie_word_embeddings": False}
"""What the published configuration of T5 says beside its shape."""
_LATENTS: Final[Mapping[str, Any]] = {"scaling_factor": 1.5305, "shift_factor": 0.0609, "force_upcast": True}
"""What that of SD3.5's autoencoder says beside its shape."""


def _transformer(blocks: int) -> SD3Transformer2DModel:
    dual = tuple(range(min(13, blocks)))
    return SD3Transformer2DModel(**SD35_MEDIUM | {"num_layers": blocks, "dual_attention_layers": dual})


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of every tensor that a file holds; one that several modules share is there once."""
    held, seen = {}, set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            held[name] = tuple(tensor.shape)
    return held


def _shards(
    shapes: Mapping[str, tuple[int, ...]], item_bytes: int, shard_bytes: int
) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    held = 0
    for name, shape in shapes.items():
        size = math.prod(shape) * item_bytes
        if shard and held + size > shard_bytes:
            yield shard
            shard, held = {}, 0
        shard[name] = shape
        held += size
    yield shard


def _drawn(name: str, shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Scales near one, shifts of nothing, matrices that keep the size of what they multiply."""
    if len(shape) == 1:
        return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
    if "pos_embed" in name and name.startswith("pos_embed.pos"):
        return torch.rand(shape, generator=draw, dtype=torch.bfloat16) * 2 - 1
    table = "embed" in name and len(shape) == 2 and "linear" not in name and "embedder" not in name
    deviation = 1.0 if "shared" in name or table else math.prod(shape[1:]) ** -0.5
    if name.endswith("SelfAttention.q.weight"):
        deviation /= 8.0  # T5 does not divide by the root of a head's width
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0.0, deviation, generator=draw)


def main(argv: Sequence[str]) -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--t5-layers", type=int, default=T5_LAYERS)
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    dtype = getattr(torch, given.dtype)
    out = write_pipeline(given.out, t5_layers=given.t5_layers, blocks=given.blocks, dtype=dtype, seed=given.seed)
    held = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {held / 1e9:.2f} GB")
