"""Generators of the paper at full size: their transformers to a depth, and the head that reads them.

A new generator is a row of `GENERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Features
from dina_lrm.heads.base import HeadTokens
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.profiling.architectures import Call, call_flux, call_sd35, call_z_image, flux, sd35, z_image
from dina_lrm.profiling.counting import META, Cost, count
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class FullSizeGenerator:
    """A generator: its transformer of so many blocks, a call of it, and the head that reads it."""

    about: str
    depth: int
    """Blocks that the paper's reward model uses."""
    blocks: int
    taps: tuple[int, ...]
    width: int
    head: QFormerConfig
    text_tokens: int
    time_width: int
    transformer: Callable[[int], nn.Module]
    call: Callable[[nn.Module, int, int, int], Call]
    """(transformer, batch, latent side, text tokens) to the latents and a call that returns the output."""
    text_encoders: tuple[str, ...]
    conditioning: int
    """Numbers that are stored for a prompt."""
    multiple: int = 1
    """Tokens of each stream are padded to a multiple of this."""

    def tokens(self, pixels: int) -> tuple[int, int]:
        """Image and text tokens of a square image, padding included."""
        image, text = (pixels // 16) ** 2, self.text_tokens
        return image + -image % self.multiple, text + -text % self.multiple


GENERATORS: Final[dict[str, FullSizeGenerator]] = {
    "sd3.5-medium": FullSizeGenerator(
        "Stable Diffusion 3.5 Medium, first 12 of 24 blocks",
        depth=12,
        blocks=24,
        taps=(4, 8, 12),
        width=1536,
        head=QFormerConfig(),
        text_tokens=77 + 128,
        time_width=1536,
        transformer=sd35,
        call=call_sd35,
        text_encoders=("clip-l", "clip-g", "t5-xxl"),
        conditioning=(77 + 128) * 4096 + 2048,
    ),
    "flux.1-dev": FullSizeGenerator(
        "FLUX.1-dev, the 19 double blocks of 57",
        depth=19,
        blocks=57,
        taps=(8, 12, 16, 19),
        width=3072,
        head=QFormerConfig(width=1536, use_proj_in=True),
        text_tokens=128,
        time_width=3072,
        transformer=flux,
        call=call_flux,
        text_encoders=("clip-l", "t5-xxl"),
        conditioning=128 * 4096 + 768,
    ),
    "z-image-turbo": FullSizeGenerator(
        "Z-Image-Turbo, first 16 of 30 layers, captions of 128 tokens",
        depth=16,
        blocks=30,
        taps=(4, 8, 12, 16),
        width=3840,
        head=QFormerConfig(width=1536, use_proj_in=True),
        text_tokens=128,
        time_width=256,
        transformer=z_image,
        call=call_z_image,
        text_encoders=("qwen3-4b",),
        conditioning=128 * 2560,
        multiple=32,
    ),
}
"""Generators by name."""


def generator(name: str) -> FullSizeGenerator:
    """The generator of that name; raises ValueError naming those there are."""
    if name not in GENERATORS:
        raise DinaError(f"generator {name!r}; accepted: {', '.join(GENERATORS)}")
    return GENERATORS[name]


@cache
def transformer_cost(chosen: FullSizeGenerator, depth: int, batch: int, pixels: int, backward: bool) -> Cost:
    """The first `depth` blocks of a generator on square images; the gradient is that of the latents."""
    model = chosen.transformer(depth)
    _, run = chosen.call(model, batch, pixels // 8, chosen.text_tokens)
    image, text = chosen.tokens(pixels)
    return count(run, backward, (model,), (image, image + text))


@cache
def head_cost(chosen: FullSizeGenerator, batch: int, pixels: int, levels: int, backward: bool) -> Cost:
    """The head on the features of `levels` noise levels, read together; its weights learn."""
    taps = (chosen.width,) * len(chosen.taps)
    with META:
        head = QFormerHead(chosen.head, taps, taps, chosen.time_width)
    head.requires_grad_(backward)

    def run() -> Tensor:
        def features() -> HeadTokens:
            tokens = (pixels // 16) ** 2
            visual = tuple(torch.empty(batch, tokens, chosen.width, device=META) for _ in chosen.taps)
            text = tuple(torch.empty(batch, chosen.text_tokens, chosen.width, device=META) for _ in chosen.taps)
            states = [state.requires_grad_(backward) for state in (*visual, *text)]
            time = torch.empty(batch, chosen.time_width, device=META)
            return head.tokens(Features(tuple(states[: len(taps)]), tuple(states[len(taps) :]), time, None))

        return head.scores([features() for _ in range(levels)])

    return count(run, backward, (head,))
