"""What a user would pick instead: judges of pixels trained from nothing on the same pairs.

`ConvJudge` is a convolutional network whose channels are scaled and shifted by the prompt; `ClipJudge` is a CLIP of
transformers whose scaled cosine is the score, trained as PickScore was. Both learn from the pairs of the latent reward
model for as many steps, three prompts with all their pairs a step, by the Bradley-Terry likelihood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

from dina_lrm.preference.presets import preference_preset
from dina_lrm.synthetic.comparisons import SyntheticComparisons
from dina_lrm.synthetic.tokenizer import TEXT_TOKENS, build_tokenizer

PROMPTS_A_STEP: Final = 3
"""Prompts a step, as in the latent recipe: 84 pairs are all pairs of eight pictures for three prompts."""
WEIGHTS: Final = "model.safetensors"
"""The file of a stored judge."""
_WIDTHS: Final = (32, 64, 128, 128)


class _Stage(nn.Module):
    """Halve the picture, then add what a modulated convolution finds."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.shrink, self.norm = nn.Conv2d(width_in, width, 3, 2, 1), nn.GroupNorm(8, width)
        self.mix, self.last = nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width)

    def forward(self, states: Tensor, film: Tensor) -> Tensor:
        """`film` holds scale and shift of each channel."""
        scale, shift = film.chunk(2, dim=1)
        states = F.gelu(self.norm(self.shrink(states)))
        return states + F.gelu(self.last(self.mix(states)) * (1 + scale) + shift)


class ConvJudge(nn.Module):
    """Four stages of two 3 x 3 convolutions, each halving the picture; the mean of word embeddings modulates them."""

    def __init__(self, words: int, width: int = 96) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.place = nn.Parameter(0.3 * torch.randn(TEXT_TOKENS, width))
        self.read = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        previous = (3, *_WIDTHS[:-1])
        self.stages = nn.ModuleList(_Stage(a, b) for a, b in zip(previous, _WIDTHS, strict=True))
        self.film = nn.ModuleList(nn.Linear(width, 2 * channels) for channels in _WIDTHS)
        self.head = nn.Sequential(nn.Linear(_WIDTHS[-1] + width, 128), nn.GELU(), nn.Linear(128, 1))

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], tokens: Int64[Tensor, "batch length"]
    ) -> Float[Tensor, " batch"]:
        """Scores of pixels in [-1, 1]."""
        # Places let the mean keep which word came first: "above" has two sides
        text = self.read((self.words(tokens) * (1 + self.place)).mean(dim=1))
        states = pixels
        for stage, film in zip(self.stages, self.film, strict=True):
            states = stage(states, film(text)[:, :, None, None])
        return self.head(torch.cat([states.mean(dim=(2, 3)), text], dim=1))[:, 0]


class ClipJudge(nn.Module):
    """A small CLIP of transformers: patches of 4 pixels, width 160, four layers a tower; score exp(scale) cos."""

    def __init__(self, words: int) -> None:
        super().__init__()
        shape = {"hidden_size": 160, "intermediate_size": 640, "num_hidden_layers": 4, "num_attention_heads": 5}
        ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
        text = shape | ends | {"vocab_size": words, "max_position_embeddings": TEXT_TOKENS}
        vision = shape | {"image_size": 32, "patch_size": 4}
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=128)
        self.clip = CLIPModel(config)

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"], tokens: Int64[Tensor, "batch length"]
    ) -> Float[Tensor, " batch"]:
        """Scores of pixels in [-1, 1]."""
        vision = self.clip.visual_projection(self.clip.vision_model(pixels).pooler_output)
        text = self.clip.text_projection(self.clip.text_model(tokens).pooler_output)
        return self.clip.logit_scale.exp() * F.cosine_similarity(vision, text)


JUDGES: Final = {"cnn": ConvJudge, "clip": ClipJudge}


def vocabulary_size() -> int:
    """Words that a judge embeds: those of the world's own tokenizer."""
    return len(build_tokenizer())


def tokenized(prompts: Sequence[str]) -> Int64[Tensor, "prompts length"]:
    """Tokens of the world's own tokenizer, padded to one length."""
    return build_tokenizer()(
        list(prompts), padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt"
    ).input_ids


def train_pixel_judge(
    kind: str,
    data: SyntheticComparisons,
    steps: int,
    seed: int,
    lr: float = 1e-3,
    report: Callable[[int, int], None] | None = None,
) -> nn.Module:
    """Train on all pairs of three prompts a step; AdamW, 25 steps of warm-up, then cosine to a twentieth.

    `report` is called with (step, steps). Prompts come in a random order, each once before any comes again.
    """
    torch.manual_seed(seed)
    model = JUDGES[kind](vocabulary_size())
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    objective = preference_preset("bradley-terry")
    tokens, order = tokenized(data.prompts), np.random.default_rng(seed)
    first = [np.flatnonzero(data.group[data.pairs[:, 0]] == group) for group in range(len(data.prompts))]
    waiting: list[int] = []
    for step in range(steps):
        if len(waiting) < PROMPTS_A_STEP:
            waiting += order.permutation(len(data.prompts)).tolist()
        chosen, waiting = waiting[:PROMPTS_A_STEP], waiting[PROMPTS_A_STEP:]
        pairs = np.concatenate([first[group] for group in chosen])
        rows, place = np.unique(data.pairs[pairs], return_inverse=True)
        place = place.reshape(-1, 2)
        scores = model(_pixels(data.images[rows]), tokens[data.group[rows]])
        margin = scores[place[:, 0]] - scores[place[:, 1]]
        loss = objective(margin, 0.0, torch.from_numpy(data.preference[pairs]).float()).mean()
        factor = min(1.0, (step + 1) / 25) * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = lr * factor
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if report is not None:
            report(step + 1, steps)
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def score_pictures(
    model: nn.Module, data: SyntheticComparisons, batch_size: int = 128
) -> Float32[np.ndarray, " images"]:
    """The score of every picture for its own prompt."""
    tokens = tokenized(data.prompts)
    parts = [
        model(_pixels(data.images[start : start + batch_size]), tokens[data.group[start : start + batch_size]])
        for start in range(0, len(data.images), batch_size)
    ]
    return torch.cat(parts).numpy()


def _pixels(images: NDArray[np.uint8]) -> Float[Tensor, "batch 3 height width"]:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
