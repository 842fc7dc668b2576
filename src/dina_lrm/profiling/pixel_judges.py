"""Judges of pixels at full size, built without weights, to be set beside latent reward models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig, Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel, Qwen2VLTextModel

from dina_lrm.profiling.counting import Cost, count, empty, without_storage
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Vit:
    """A vision transformer of CLIP: patch, width, layers, heads."""

    patch: int
    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class PixelJudge:
    """A judge: CLIP's image tower, or where `vit` is None Qwen2-VL-7B, on images scaled to `side` pixels."""

    about: str
    side: int
    vit: Vit | None
    prompt_tokens: int = 0
    """Tokens that a language model reads beside those of the image: instruction and prompt."""


PIXEL_JUDGES: Final[dict[str, PixelJudge]] = {
    "clip-b32": PixelJudge("CLIP ViT-B/32 at 224 pixels", 224, Vit(32, 768, 12, 12)),
    "clip-b16": PixelJudge("CLIP ViT-B/16 at 224 pixels", 224, Vit(16, 768, 12, 12)),
    "pickscore": PixelJudge("PickScore: CLIP ViT-H/14 at 224 pixels", 224, Vit(14, 1280, 32, 16)),
    "hpsv3": PixelJudge("HPSv3: Qwen2-VL-7B on 256 x 28 x 28 pixels, as released", 448, None, prompt_tokens=600),
}
"""Pixel rewards by name."""


def pixel_judge(name: str) -> PixelJudge:
    """The judge of that name; raises ValueError naming those there are."""
    if name not in PIXEL_JUDGES:
        raise DinaError(f"pixel reward {name!r}; accepted: {', '.join(PIXEL_JUDGES)}")
    return PIXEL_JUDGES[name]


@cache
def judge_cost(name: str, batch: int, backward: bool) -> Cost:
    """The judge on images of its own size; the gradient is that of the pixels. Embeddings of prompts are left out."""
    judge = pixel_judge(name)
    if judge.vit is not None:
        return _clip_vision(judge.vit, judge.side, batch, backward)
    patches = (judge.side // 14) ** 2
    vision = _vision_cost(batch, judge.side // 14, backward)
    return vision + _language_cost(batch, patches // 4 + judge.prompt_tokens, backward)


def clip_vision(vit: Vit, side: int) -> nn.Module:
    """CLIP's image tower with weights drawn at random, for images of `side` pixels."""
    config = CLIPVisionConfig(
        image_size=side,
        patch_size=vit.patch,
        hidden_size=vit.width,
        intermediate_size=4 * vit.width,
        num_hidden_layers=vit.layers,
        num_attention_heads=vit.heads,
    )
    return CLIPVisionModel(config).eval()


def _clip_vision(vit: Vit, side: int, batch: int, backward: bool) -> Cost:
    model: nn.Module = without_storage(lambda: clip_vision(vit, side))
    images = empty(batch, 3, side, side).requires_grad_(backward)
    tokens = (side // vit.patch) ** 2 + 1
    return count(lambda: model(pixel_values=images).pooler_output, backward, (model,), (tokens,))


def qwen2_vision() -> nn.Module:
    """The vision tower of Qwen2-VL-7B with the layers that merge its patches, without storage."""
    _needs_transformers_5()
    return without_storage(lambda: Qwen2VisionTransformerPretrainedModel(Qwen2VLVisionConfig(hidden_size=3584)))


def _vision_cost(batch: int, side: int, backward: bool) -> Cost:
    """Images of `side` x `side` patches, each of two frames as Qwen2-VL repeats a picture."""
    model = qwen2_vision()
    patches = empty(batch * side**2, 3 * 2 * 14 * 14).requires_grad_(backward)
    # Its values split the batch into images; positions are values of a rotation only
    grid = torch.tensor([[1, side, side]] * batch)
    positions = empty(batch * side**2, 2)
    return count(
        lambda: model(patches, grid_thw=grid, position_ids=positions).pooler_output, backward, (model,), (side**2,)
    )


def qwen2_language() -> nn.Module:
    """The language model of Qwen2-VL-7B without its output layer, without storage."""
    config = Qwen2VLTextConfig(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    )
    return without_storage(lambda: Qwen2VLTextModel(config))


def _language_cost(batch: int, tokens: int, backward: bool) -> Cost:
    model = qwen2_language()
    states = empty(batch, tokens, 3584).requires_grad_(backward)

    def run() -> Tensor:
        # A mask that is there already: what transformers does to make one needs values
        masks = {"full_attention": None}
        return model(inputs_embeds=states, attention_mask=masks, use_cache=False).last_hidden_state

    return count(run, backward, (model,), (tokens,))


def _needs_transformers_5() -> None:
    found = version("transformers")
    if int(found.partition(".")[0]) < 5:
        raise DinaError(
            f"hpsv3: Qwen2-VL is counted with transformers 5, this is {found}; accepted without it: --pixel-rewards "
            + " ".join(name for name, judge in PIXEL_JUDGES.items() if judge.vit is not None)
        )
