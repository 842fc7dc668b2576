"""CLIP as a judge: the cosine between image and prompt, and PickScore's calibrated form of it.

    clip(x, c)      = 100 cos(f(x), g(c))
    pickscore(x, c) = exp(logit_scale) cos(f(x), g(c))         (arXiv 2305.01569, Eq. 1)

Any transformers CLIP will do, from the hub or a folder. Images are scaled and cropped in torch as the model's processor
says, so that the scores are differentiable with respect to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from dina_lrm.data.buckets import Bucket
from dina_lrm.images import fit
from dina_lrm.locate import locate_judge
from dina_lrm.model_folders import expect_safetensors, loading
from dina_lrm.rewards.base import RewardKind, check_images, ready, said_of_cut_prompts
from dina_lrm.runs.json_files import read_json_object

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
        expect_safetensors(folder)
        with loading(folder):
            model, told = CLIPModel.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
        missing = sorted(key for key in told["missing_keys"] if not key.endswith("position_ids"))
        if missing:
            raise ValueError(f"{name}: {len(missing)} weights of CLIP are missing, first {missing[0]}")
        size, mean, std = read_processor(folder)
        return cls(ready(model), CLIPTokenizer.from_pretrained(folder), size, mean, std)

    def cosine(self, images: Float[Tensor, "batch 3 height width"], prompts: Sequence[str]) -> Float[Tensor, " batch"]:
        """Cosine of image and prompt embeddings; warns of prompts that are longer than the model reads."""
        vision = self.embed(images)
        return F.cosine_similarity(vision, self.embed_prompts(prompts).to(vision.device))

    def embed(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embedding"]:
        """Projected embeddings of images in [0, 1], not normalised."""
        pixels = self.pixels(images).to(self.model.device)
        return self.model.visual_projection(self.model.vision_model(pixels).pooler_output)

    def pixels(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 side side"]:
        """What the vision tower takes: scaled, cropped, normalised."""
        return normalized(images, self.size, self.mean, self.std)

    @torch.no_grad()
    def embed_prompts(self, prompts: Sequence[str]) -> Float[Tensor, "batch embedding"]:
        """Projected embeddings of prompts; warns, with counts, of those that are longer than the model reads."""
        unique = list(dict.fromkeys(prompts))
        limit = self.model.config.text_config.max_position_embeddings
        whole = self.tokenizer(unique).input_ids
        cut = [prompt for prompt, tokens in zip(unique, whole, strict=True) if len(tokens) > limit]
        said_of_cut_prompts("CLIP", cut, len(unique), limit)
        tokens = self.tokenizer(unique, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        found = self.model.text_model(**tokens.to(self.model.device)).pooler_output
        embedded = self.model.text_projection(found)
        rows = {prompt: row for row, prompt in enumerate(unique)}
        return embedded[[rows[prompt] for prompt in prompts]]


@final
@dataclass(frozen=True, eq=False)
class ClipScore:
    """The cosine times a scale; differentiable with respect to the images."""

    towers: ClipTowers
    name: str = "clip"
    scale: float = 100.0
    kind: ClassVar[RewardKind] = "pixel"
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


Triple = tuple[float, float, float]
CLIP_MEAN: Final[Triple] = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final[Triple] = (0.26862954, 0.26130258, 0.27577711)
"""Of OpenAI's CLIP, which many judges took over."""


def normalized(
    images: Float[Tensor, "batch 3 height width"], side: int, mean: Triple = CLIP_MEAN, std: Triple = CLIP_STD
) -> Float[Tensor, "batch 3 side side"]:
    """Images in [0, 1] scaled and cropped to a square, then normalised; differentiable."""
    pixels = torch.stack([fit(image, Bucket(side, side)) for image in images.float()])
    return (pixels - pixels.new_tensor(mean)[:, None, None]) / pixels.new_tensor(std)[:, None, None]


def read_processor(folder: Path) -> tuple[int, Triple, Triple]:
    """Side, mean and deviation of an image processor's file. Raises ValueError where there is none."""
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise ValueError(f"{folder}: has no {file.name}, which says how images are scaled for a CLIP")
    told = read_json_object(file)
    crop: Any = told.get("crop_size") or told.get("size")
    try:
        side = crop if isinstance(crop, int) else crop.get("height") or crop.get("shortest_edge")
        mean, std = (tuple(map(float, told[name])) for name in ("image_mean", "image_std"))
        return int(side), (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
    except (AttributeError, TypeError, ValueError, LookupError) as error:
        raise ValueError(f"{file}: no crop_size, image_mean and image_std of a CLIP ({error!r})") from error
