"""CLIP as a judge: the cosine between image and prompt, and PickScore's calibrated form of it.

    clip(x, c)      = 100 cos(f(x), g(c))
    pickscore(x, c) = exp(logit_scale) cos(f(x), g(c))         (arXiv 2305.01569, Eq. 1)

Any transformers CLIP will do, from the hub or a folder. Pictures and prompts are read as its processor reads them in
transformers; the scores are differentiable with respect to the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel, CLIPTokenizerFast

from dina_lrm.locate import locate_judge
from dina_lrm.model_folders import expect_safetensors, loading
from dina_lrm.rewards.base import PixelReward, check_images, ready, said_of_cut_prompts
from dina_lrm.rewards.judges.pictures import Cut, Preparation
from dina_lrm.rewards.judges.processor_file import clip_preparation
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class ClipTowers:
    """A CLIP, its tokenizer, and how pictures and prompts are prepared for them."""

    model: CLIPModel
    tokenizer: CLIPTokenizerFast
    pixels: Preparation
    """From images in [0, 1] to what the vision tower takes."""
    clean: Callable[[str], str] = str
    """What a prompt goes through before the tokenizer."""

    @classmethod
    def load(cls, name: str, cut: Cut = "floor") -> ClipTowers:
        """The CLIP of a folder or hub id; `cut` is how the library that runs it rounds the place of the middle.

        Raises ValueError when it is no CLIP, or weights are missing.
        """
        # The fast tokenizer, which AutoProcessor takes: the slow one of transformers 4 reads otherwise with ftfy there
        folder = locate_judge(name)
        expect_safetensors(folder)
        with loading(folder):
            model, told = CLIPModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
        missing = sorted(key for key in told["missing_keys"] if not key.endswith("position_ids"))
        if missing:
            raise DinaError(f"{name}: {len(missing)} weights of CLIP are missing, first {missing[0]}")
        return cls(ready(model), CLIPTokenizerFast.from_pretrained(folder), clip_preparation(folder, cut))

    def cosine(self, images: Float[Tensor, "batch 3 height width"], prompts: Sequence[str]) -> Float[Tensor, " batch"]:
        """Cosine of image and prompt embeddings; warns of prompts that are longer than the model reads."""
        vision = self.embed(images)
        return F.cosine_similarity(vision, self.embed_prompts(prompts).to(vision.device))

    def embed(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embedding"]:
        """Projected embeddings of images in [0, 1], not normalised."""
        pixels = self.pixels(images).to(self.model.device)
        return self.model.visual_projection(self.model.vision_model(pixels).pooler_output)

    @torch.no_grad()
    def embed_prompts(self, prompts: Sequence[str]) -> Float[Tensor, "batch embedding"]:
        """Projected embeddings of prompts; warns, with counts, of those that are longer than the model reads."""
        unique = list(dict.fromkeys(prompts))
        limit = self.model.config.text_config.max_position_embeddings
        read = [self.clean(prompt) for prompt in unique]
        whole = self.tokenizer(read).input_ids
        cut = [prompt for prompt, tokens in zip(unique, whole, strict=True) if len(tokens) > limit]
        said_of_cut_prompts("CLIP", cut, len(unique), limit)
        tokens = self.tokenizer(read, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        found = self.model.text_model(**tokens.to(self.model.device)).pooler_output
        embedded = self.model.text_projection(found)
        rows = {prompt: row for row, prompt in enumerate(unique)}
        return embedded[[rows[prompt] for prompt in prompts]]


@final
@dataclass(frozen=True, eq=False)
class ClipScore(PixelReward):
    """The cosine times a scale; differentiable with respect to the images."""

    towers: ClipTowers
    name: str = "clip"
    scale: float = 100.0
    differentiable: ClassVar[bool] = True

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each."""
        check_images(self.name, inputs, prompts)
        return self.scale * self.towers.cosine(inputs, prompts)


def load_clip(model: str) -> ClipScore:
    """100 times the cosine of the CLIP of a folder or hub id."""
    return ClipScore(ClipTowers.load(model), f"clip:{model}")


def load_pickscore(model: str) -> ClipScore:
    """The cosine times the learned scale: the softmax of two such scores is PickScore's win probability."""
    towers = ClipTowers.load(model)
    return ClipScore(towers, f"pickscore:{model}", float(towers.model.logit_scale.exp()))
