"""MPS (arXiv 2405.14705), overall preference: CLIP ViT-H/14 whose image tokens read the words that matter.

    m_i   = 0 where max_j <w_i, c_j> > 0.3 of the largest, else -infinity      w: prompt, c: condition, token by token
    score = exp(logit_scale) cos(text, tower(image tokens, w; m)[first])

The published checkpoint is a pickled module, which is not run: save its state dict once where you trust it (the error
says how), into a folder with configuration, tokenizer and image processor of the CLIP that it was trained from,
laion/CLIP-ViT-H-14-laion2B-s32B-b79K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

from dina_lrm.locate import locate_judge
from dina_lrm.rewards.base import PixelReward, check_images, ready, said_of_cut_prompts
from dina_lrm.rewards.judges.mps_cross import CrossTower
from dina_lrm.rewards.judges.pictures import Preparation
from dina_lrm.rewards.judges.processor_file import clip_preparation
from dina_lrm.rewards.judges.state_files import below, fill, only_file, read_state_dict, refuse_others
from dina_lrm.typed import DinaError

CONDITION: Final = (
    "light, color, clarity, tone, style, ambiance, artistry, shape, face, hair, hands, limbs, structure, instance, "
    "texture, quantity, attributes, position, number, location, word, things."
)
"""What overall preference looks at; words of a prompt that are near to none of these are not read."""
THRESHOLD: Final = 0.3
_WEIGHTS: Final = ("MPS*.safetensors", "MPS*.pt*", "*.pt", "*.pth")


@final
@dataclass(frozen=True, eq=False)
class Mps(PixelReward):
    """The judge; differentiable with respect to the images."""

    clip: CLIPModel
    tower: CrossTower
    tokenizer: CLIPTokenizerFast
    pixels: Preparation
    """From images in [0, 1] to what the vision model takes."""
    condition: str = CONDITION
    name: str = "mps"
    differentiable: ClassVar[bool] = True

    @classmethod
    def load(cls, model: str) -> Mps:
        """MPS of a folder or hub id: a state dict, and its CLIP's config.json, tokenizer and preprocessor_config.json.

        Raises ValueError naming any missing, unexpected or misshapen tensor.
        """
        folder = locate_judge(model, allow_patterns=("*.json", "*.txt", *_WEIGHTS[:2]))
        file = only_file(folder, *_WEIGHTS)
        tensors = read_state_dict(file)
        clip, tower = CLIPModel(CLIPConfig.from_pretrained(folder)), _tower(tensors, str(file))
        refuse_others(tensors, ("model.", "cross_model."), str(file))
        fill(clip, below(tensors, "model."), f"{file}: model")
        fill(tower, below(tensors, "cross_model."), f"{file}: cross_model")
        tokenizer, pixels = CLIPTokenizerFast.from_pretrained(folder), clip_preparation(folder)
        return cls(ready(clip), ready(tower), tokenizer, pixels, name=f"mps:{model}")

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Scores of images in [0, 1], one prompt each; warns, with counts, of prompts that CLIP does not read whole."""
        check_images(self.name, inputs, prompts)
        pixels = self.pixels(inputs).to(self.clip.device)
        image = self.clip.visual_projection(self.clip.vision_model(pixels).last_hidden_state)
        words, text = self._words(prompts)
        seen = self.tower(image, words, self._mask(words))[:, 0]
        return self.clip.logit_scale.exp() * F.cosine_similarity(text, seen, dim=-1)

    @torch.no_grad()
    def _words(self, prompts: Sequence[str]) -> tuple[Float[Tensor, "batch words embed"], Float[Tensor, "batch embed"]]:
        """Every token of the prompts, padding too, as MPS was trained; and the prompts as wholes."""
        limit = self.clip.config.text_config.max_position_embeddings
        unique = list(dict.fromkeys(prompts))
        lengths = [len(tokens) for tokens in self.tokenizer(unique).input_ids]
        cut = [prompt for prompt, length in zip(unique, lengths, strict=True) if length > limit]
        said_of_cut_prompts("MPS", cut, len(unique), limit)
        tokens = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=limit, return_tensors="pt"
        ).input_ids
        found = self.clip.text_model(tokens.to(self.clip.device))
        return self.clip.text_projection(found.last_hidden_state), self.clip.text_projection(found.pooler_output)

    @torch.no_grad()
    def _mask(self, words: Float[Tensor, "batch words embed"]) -> Float[Tensor, "batch words"]:
        limit = self.clip.config.text_config.max_position_embeddings
        given = self.tokenizer(
            [self.condition], padding="max_length", truncation=True, max_length=limit, return_tensors="pt"
        ).input_ids
        states = self.clip.text_model(given.to(self.clip.device)).last_hidden_state
        near = torch.einsum("bid,jd->bij", words, self.clip.text_projection(states)[0]).amax(dim=2)
        # Each prompt by itself: over a batch, a score would depend on what else is judged
        share = near / near.amax(dim=1, keepdim=True)
        return torch.zeros_like(share).masked_fill(share <= THRESHOLD, float("-inf"))


def _tower(tensors: Mapping[str, Tensor], where: str) -> CrossTower:
    names = [f"cross_model.layers.0.0.fn.{part}.weight" for part in ("to_q", "to_kv", "ff.2")]
    if any(name not in tensors for name in names):
        raise DinaError(f"{where}: missing tensors: {', '.join(name for name in names if name not in tensors)}")
    queries, keys, inner = (tensors[name].shape for name in names)
    layers = {name.split(".")[2] for name in tensors if name.startswith("cross_model.layers.")}
    head_width = keys[0] // 2
    return CrossTower(queries[1], len(layers), queries[0] // head_width, head_width, inner[1])
