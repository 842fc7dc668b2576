"""CLIP as a judge: the cosine between image and prompt (CLIP score, HPSv2), and PickScore's calibrated form of it.

    clip(x, c)      = 100 cos(f(x), g(c))
    pickscore(x, c) = exp(logit_scale) cos(f(x), g(c))         (arXiv 2305.01569, Eq. 1)

Any transformers CLIP will do, from the hub or a folder. Images are scaled and cropped in torch as the model's processor
says, so that the scores are differentiable with respect to them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.data.buckets import Bucket
from dina_lrm.images import fit
from dina_lrm.locate import locate_judge
from dina_lrm.rewards.base import RewardKind, check_images
from dina_lrm.scoring import PromptTruncatedWarning

if TYPE_CHECKING:
    from transformers import CLIPModel, CLIPTokenizer


@dataclass(frozen=True, eq=False)
class ClipTowers:
    """A CLIP with its tokenizer and the sizes, means and deviations of its image processor."""

    model: CLIPModel
    tokenizer: CLIPTokenizer
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def load(cls, name: str) -> ClipTowers:
        """The CLIP of a folder or hub id. Raises ValueError when it is no CLIP, or weights are missing."""
        from transformers import CLIPModel, CLIPTokenizer

        folder = locate_judge(name)
        model, told = CLIPModel.from_pretrained(folder, output_loading_info=True)
        missing = sorted(key for key in told["missing_keys"] if not key.endswith("position_ids"))
        if missing:
            raise ValueError(f"{name}: {len(missing)} weights of CLIP are missing, first {missing[0]}")
        size, mean, std = _processor(folder)
        return cls(model.float().eval().requires_grad_(False), CLIPTokenizer.from_pretrained(folder), size, mean, std)

    def cosine(self, images: Float[Tensor, "batch 3 height width"], prompts: Sequence[str]) -> Float[Tensor, " batch"]:
        """Cosine of image and prompt embeddings; warns of prompts that are longer than the model reads."""
        pixels = torch.stack([fit(image, Bucket(self.size, self.size)) for image in images.float()])
        pixels = (pixels - pixels.new_tensor(self.mean)[:, None, None]) / pixels.new_tensor(self.std)[:, None, None]
        vision = self.model.visual_projection(self.model.vision_model(pixels).pooler_output)
        return F.cosine_similarity(vision, self._text(prompts).to(vision.device))

    @torch.no_grad()
    def _text(self, prompts: Sequence[str]) -> Float[Tensor, "batch width"]:
        unique = list(dict.fromkeys(prompts))
        limit = self.model.config.text_config.max_position_embeddings
        whole = self.tokenizer(unique).input_ids
        cut = [prompt for prompt, tokens in zip(unique, whole, strict=True) if len(tokens) > limit]
        if cut:
            told = f"{len(cut)} of {len(unique)} prompts are longer than the {limit} tokens that CLIP reads"
            warnings.warn(f"{told}, such as {cut[0]!r}", PromptTruncatedWarning, stacklevel=4)
        tokens = self.tokenizer(unique, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        found = self.model.text_model(**tokens.to(self.model.device)).pooler_output
        embedded = self.model.text_projection(found)
        rows = {prompt: row for row, prompt in enumerate(unique)}
        return embedded[[rows[prompt] for prompt in prompts]]


@final
@dataclass(frozen=True, eq=False)
class ClipScore:
    """100 times the cosine; differentiable with respect to the images."""

    towers: ClipTowers
    name: str = "clip"
    kind: ClassVar[RewardKind] = "pixel"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> ClipScore:
        """The CLIP of a folder or hub id."""
        return cls(ClipTowers.load(model), f"clip:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each."""
        check_images(self.name, inputs, prompts)
        return 100 * self.towers.cosine(inputs, prompts)


@final
@dataclass(frozen=True, eq=False)
class PickScore:
    """The cosine times the learned scale; the softmax of two such scores is PickScore's win probability."""

    towers: ClipTowers
    name: str = "pickscore"
    kind: ClassVar[RewardKind] = "pixel"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> PickScore:
        """The CLIP of a folder or hub id."""
        return cls(ClipTowers.load(model), f"pickscore:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each."""
        check_images(self.name, inputs, prompts)
        return self.towers.model.logit_scale.exp() * self.towers.cosine(inputs, prompts)


Triple = tuple[float, float, float]


def _processor(folder: Path) -> tuple[int, Triple, Triple]:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise ValueError(f"{folder}: has no {file.name}, which says how images are scaled for a CLIP")
    told = json.loads(file.read_text(encoding="utf-8"))
    crop = told.get("crop_size") or told.get("size")
    side = crop if isinstance(crop, int) else crop.get("height") or crop.get("shortest_edge")
    mean, std = (tuple(map(float, told[name])) for name in ("image_mean", "image_std"))
    return int(side), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
