"""ImageReward (arXiv 2304.05977): BLIP reads the prompt beside the image, five linear layers make a score of it.

    score = (W h - mean) / std        h: state of the first text token after cross attention to the image
    mean = 0.16717362830052426, std = 1.0333394966054072: z-scores on the data it was trained with

The published file holds BLIP under the names of its own repository; its text encoder's are those of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, final

import torch
from jaxtyping import Float32
from torch import Tensor
from transformers import BertTokenizerFast, BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

from dina_lrm.locate import locate_judge
from dina_lrm.reward_model.formats.stored import read_json
from dina_lrm.rewards.base import PixelReward, check_images, ready, said_of_cut_prompts
from dina_lrm.rewards.judges.pictures import MiddleCut, Preparation
from dina_lrm.rewards.judges.score_mlp import ScoreMlp
from dina_lrm.rewards.judges.state_files import below, fill, read_state_dict, refuse_others
from dina_lrm.typed import DinaError

MEAN: Final = 0.16717362830052426
STD: Final = 1.0333394966054072
TOKENS: Final = 35
"""Tokens of a prompt that are read."""
_FILE: Final = "ImageReward.pt"
_TEXT_FILE: Final = "med_config.json"
_BERT: Final = "google-bert/bert-base-uncased"
_HEAD_WIDTH: Final = 64
_UNUSED: Final = ("blip.vision_proj.", "blip.text_proj.", "blip.itm_head.", "blip.temp")
"""Parts of BLIP's pretraining that no score reads."""
_VISION_NAMES: Final = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.": "embeddings.patch_embedding.",
    "blocks.": "encoder.layers.",
    ".attn.proj.": ".self_attn.projection.",
    ".attn.qkv.": ".self_attn.qkv.",
    ".norm1.": ".layer_norm1.",
    ".norm2.": ".layer_norm2.",
}


@final
@dataclass(frozen=True, eq=False)
class BlipReward(PixelReward):
    """ImageReward; differentiable with respect to the images."""

    vision: BlipVisionModel
    text: BlipTextModel
    scorer: ScoreMlp
    tokenizer: BertTokenizerFast
    pixels: Preparation
    """From images in [0, 1] to what the vision model takes."""
    name: str = "imagereward"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> BlipReward:
        """ImageReward of a folder or hub id: `ImageReward.pt`, `med_config.json`, and BERT's tokenizer if it is there.

        Raises ValueError naming any missing, unexpected or misshapen tensor.
        """
        folder = locate_judge(model, marker=_FILE, allow_patterns=(_FILE, _TEXT_FILE, "vocab.txt", "tokenizer*"))
        tensors = read_state_dict(folder / _FILE)
        scorer = ScoreMlp.shaped_like(tensors, "mlp.")
        vision = _vision_model(tensors)
        text = _text_model(read_json(folder / _TEXT_FILE), vision.config.hidden_size)
        where = f"{folder / _FILE}"
        fill(vision, _vision_tensors(tensors), f"{where}: visual_encoder")
        fill(text, below(tensors, "blip.text_encoder."), f"{where}: text_encoder")
        fill(scorer, below(tensors, "mlp."), f"{where}: mlp")
        refuse_others(tensors, ("blip.visual_encoder.", "blip.text_encoder.", "mlp.", *_UNUSED), where)
        side = vision.config.image_size
        pixels = Preparation(MiddleCut(side, side, "even"))
        return cls(ready(vision), ready(text), ready(scorer), _tokenizer(folder), pixels, f"imagereward:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each; warns, with counts, of prompts of more than 35 tokens."""
        check_images(self.name, inputs, prompts)
        seen = self.vision(self.pixels(inputs).to(self.vision.device)).last_hidden_state
        tokens = self._tokens(prompts).to(seen.device)
        states = self.text(
            tokens.input_ids,
            attention_mask=tokens.attention_mask,
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
        ).last_hidden_state
        return (self.scorer(states[:, 0]) - MEAN) / STD

    def _tokens(self, prompts: Sequence[str]) -> Any:  # noqa: ANN401 - a BatchEncoding of transformers
        unique = list(dict.fromkeys(prompts))
        lengths = [len(ids) for ids in self.tokenizer(unique).input_ids]
        cut = [prompt for prompt, length in zip(unique, lengths, strict=True) if length > TOKENS]
        said_of_cut_prompts("ImageReward", cut, len(unique), TOKENS)
        return self.tokenizer(list(prompts), padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")


def _vision_model(tensors: Mapping[str, Tensor]) -> BlipVisionModel:
    patches = _one(tensors, "blip.visual_encoder.patch_embed.proj.weight")
    positions = _one(tensors, "blip.visual_encoder.pos_embed").shape[1] - 1
    width, patch = patches.shape[0], patches.shape[2]
    layers = {name.split(".")[3] for name in tensors if name.startswith("blip.visual_encoder.blocks.")}
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=len(layers),
        num_attention_heads=max(1, width // _HEAD_WIDTH),
        image_size=patch * round(positions**0.5),
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    return BlipVisionModel(config)


def _text_model(config: Mapping[str, Any], vision_width: int) -> BlipTextModel:
    taken = (
        *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
        *("max_position_embeddings", "hidden_act", "layer_norm_eps"),
    )
    given = {name: config[name] for name in taken if name in config}
    return BlipTextModel(BlipTextConfig(encoder_hidden_size=vision_width, **given), add_pooling_layer=False)


def _vision_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in below(tensors, "blip.visual_encoder.").items():
        for old, new in _VISION_NAMES.items():
            name = name.replace(old, new)
        found[name.replace("norm.", "post_layernorm.") if name.startswith("norm.") else name] = tensor
    return found


def _tokenizer(folder: Path) -> BertTokenizerFast:
    own = (folder / "vocab.txt").is_file() or (folder / "tokenizer.json").is_file()
    patterns = ("vocab.txt", "tokenizer*", "config.json")
    return BertTokenizerFast.from_pretrained(folder if own else locate_judge(_BERT, allow_patterns=patterns))


def _one(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise DinaError(f"ImageReward: no tensor {name}; there are {', '.join(list(tensors)[:5]) or 'none'}")
    return tensors[name]
