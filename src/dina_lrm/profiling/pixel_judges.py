"""Judges of pixels at full size, built without weights, to be set beside latent reward models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from dina_lrm.profiling.counting import DTYPE, META, Cost, count, without_storage


@dataclass(frozen=True)
class PixelJudge:
    """A vision transformer, and for a vision-language model the language model that reads its tokens."""

    about: str
    side: int | None
    """Pixels that images are scaled to; None = as they are."""
    patch: int
    merged: int
    """Patches (squared) that become one token of the language model."""
    language: bool
    prompt_tokens: int


PIXEL_JUDGES: Final[dict[str, PixelJudge]] = {
    "pickscore": PixelJudge("PickScore: CLIP ViT-H/14 at 224 pixels", 224, 14, 1, False, 0),
    "hpsv3": PixelJudge("HPSv3: Qwen2-VL-7B on images as they are", None, 14, 2, True, 300),
}
"""Pixel rewards by name."""


def judge_cost(name: str, batch: int, pixels: int, backward: bool) -> Cost:
    """The judge on square images; the gradient is that of the pixels."""
    judge = PIXEL_JUDGES[name]
    side = judge.side or pixels
    patches = (side // judge.patch) ** 2
    cost = _vision(batch, patches, backward)
    if judge.language:
        cost += _language(batch, patches // judge.merged**2 + judge.prompt_tokens, backward)
    return cost


def _vision(batch: int, patches: int, backward: bool) -> Cost:
    """ViT-H, 32 layers of width 1280: that of CLIP-H and, but for its gated form, of Qwen2-VL."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    shape = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    model = without_storage(lambda: CLIPVisionModel(CLIPVisionConfig(image_size=224, patch_size=14, **shape)))
    # transformers 4 keeps the tower one level deeper
    encoder: nn.Module = getattr(model, "vision_model", model).encoder
    states = torch.empty(batch, patches, 1280, device=META, dtype=DTYPE).requires_grad_(backward)
    return count(lambda: encoder(inputs_embeds=states).last_hidden_state, backward, (encoder,), (patches,))


def _language(batch: int, tokens: int, backward: bool) -> Cost:
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    model = without_storage(lambda: Qwen2Model(config))
    states = torch.empty(batch, tokens, 3584, device=META, dtype=DTYPE).requires_grad_(backward)
    # Given as it is used: what transformers does to make one needs values
    mask = torch.empty(batch, 1, tokens, tokens, device=META, dtype=DTYPE)
    return count(
        lambda: model(inputs_embeds=states, attention_mask=mask, use_cache=False).last_hidden_state,
        backward,
        (model,),
        (tokens,),
    )
