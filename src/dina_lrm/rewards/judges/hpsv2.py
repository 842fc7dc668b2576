"""HPSv2 (arXiv 2306.09341): a CLIP ViT-H/14 fine-tuned on human choices; its score is the cosine, here times 100.

It sees a picture whole, with black beside it where it is not square, and reads prompts as open_clip does. The published
weights are those of open_clip, which names and packs the tensors of a CLIP in its own way:

    visual.transformer.resblocks.N.attn.in_proj_weight  ->  vision_model.encoder.layers.N.self_attn.{q,k,v}_proj.weight
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

from dina_lrm.locate import locate_judge
from dina_lrm.reward_model.formats.stored import read_json
from dina_lrm.rewards.base import ready
from dina_lrm.rewards.judges.clip import ClipScore, ClipTowers
from dina_lrm.rewards.judges.clip_text import open_clip_text, reading_as_open_clip
from dina_lrm.rewards.judges.pictures import BlackBars, Preparation
from dina_lrm.rewards.judges.state_files import fill, only_file, read_state_dict

CLIP_H: Final = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
"""Where the tokenizer of ViT-H/14 is published."""
_WEIGHTS: Final = ("HPS_v2.1_compressed.pt", "HPS_v2*.pt", "*.safetensors", "*.pt")
"""Version 2.1 before 2.0, where a folder holds both."""
_VIT_H_14: Final[dict[str, Any]] = {
    "embed_dim": 1024,
    "vision_cfg": {"image_size": 224, "layers": 32, "width": 1280, "head_width": 80, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16, "layers": 24},
}
_PARTS: Final = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
    "logit_scale": "logit_scale",
}
_TRANSPOSED: Final = ("visual.proj", "text_projection")
_TOWERS: Final = {
    "visual.ln_pre.": "vision_model.pre_layrnorm.",
    "visual.ln_post.": "vision_model.post_layernorm.",
    "ln_final.": "text_model.final_layer_norm.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
    "transformer.resblocks.": "text_model.encoder.layers.",
}
_IN_BLOCKS: Final = {
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".mlp.c_fc.": ".mlp.fc1.",
    ".mlp.c_proj.": ".mlp.fc2.",
    ".attn.out_proj.": ".self_attn.out_proj.",
}


def load_hpsv2(model: str) -> ClipScore:
    """HPSv2 of a folder or hub id: the published file, or a CLIP that transformers wrote (its folder has config.json).

    A folder may hold the tokenizer beside the weights, and `open_clip_config.json` for another shape than ViT-H/14.
    Raises ValueError naming any missing, unexpected or misshapen tensor.
    """
    name = f"hpsv2:{model}"
    if (Path(model) / "config.json").is_file():
        return ClipScore(_as_published(ClipTowers.load(model)), name)
    folder = locate_judge(model, marker="*.*", allow_patterns=("HPS_v2.1_compressed.pt", "*.json", "*.txt"))
    return ClipScore(_as_published(_towers(folder)), name)


def _towers(folder: Path) -> ClipTowers:
    shape = _VIT_H_14
    if (folder / "open_clip_config.json").is_file():
        shape = read_json(folder / "open_clip_config.json")["model_cfg"]
    file = only_file(folder, *_WEIGHTS)
    tokenizer = clip_tokenizer(folder)
    model = CLIPModel(clip_config(shape, tokenizer))
    fill(model, dict(transformers_names(read_state_dict(file))), str(file))
    return ClipTowers(ready(model), tokenizer, Preparation(BlackBars(shape["vision_cfg"]["image_size"])))


def _as_published(towers: ClipTowers) -> ClipTowers:
    """Pictures and prompts as HPSv2's authors prepare them, whoever wrote the weights' folder."""
    side = towers.model.config.vision_config.image_size
    pixels = replace(towers.pixels, frame=BlackBars(side))
    return replace(towers, pixels=pixels, tokenizer=reading_as_open_clip(towers.tokenizer), clean=open_clip_text)


def clip_tokenizer(folder: Path) -> CLIPTokenizerFast:
    """The tokenizer in a folder, else that of ViT-H/14 from the hub."""
    files = ("tokenizer.json", "vocab.json")
    if any((folder / file).is_file() for file in files):
        return CLIPTokenizerFast.from_pretrained(folder)
    patterns = ("tokenizer*", "vocab.json", "merges.txt", "special_tokens_map.json", "config.json")
    return CLIPTokenizerFast.from_pretrained(locate_judge(CLIP_H, allow_patterns=patterns))


def clip_config(shape: Mapping[str, Any], tokenizer: CLIPTokenizerFast) -> CLIPConfig:
    """The transformers configuration of an open_clip shape; both use GELU and pool at the end-of-text token."""
    vision, text = shape["vision_cfg"], shape["text_cfg"]
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return CLIPConfig(
        projection_dim=shape["embed_dim"],
        vision_config={
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "hidden_act": "gelu",
        },
        text_config={
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"],
            "vocab_size": text["vocab_size"],
            "hidden_act": "gelu",
            **ends,
        },
    )


def transformers_names(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """open_clip's tensors under the names of transformers; a name that is not known stays, and is found unexpected."""
    for name, tensor in tensors.items():
        if name in _PARTS:
            yield _PARTS[name], tensor.T.contiguous() if name in _TRANSPOSED else tensor
            continue
        renamed = _renamed(name)
        stem, packed, kind = renamed.partition(".attn.in_proj_")
        if not packed:
            yield renamed, tensor
            continue
        for part, piece in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{stem}.self_attn.{part}_proj.{kind}", piece


def _renamed(name: str) -> str:
    tower = next((prefix for prefix in _TOWERS if name.startswith(prefix)), None)
    if tower is None:
        return name
    name = _TOWERS[tower] + name.removeprefix(tower)
    for old, new in _IN_BLOCKS.items():
        name = name.replace(old, new)
    return name
