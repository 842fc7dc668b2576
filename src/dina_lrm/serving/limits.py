"""What a server takes at most; checked before the work that they bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dina_lrm.typed import DinaError

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of a request and of all that wait. Bytes count after unpacking."""

    body_bytes: int = 64 * MIB
    """Bytes of a body, unpacked."""
    header_bytes: int = MIB
    """Bytes of the header of a safetensors blob."""
    batch: int = 256
    """Items of a request."""
    levels: int = 16
    """Noise levels of an ensemble."""
    latent_positions: int = 1 << 16
    """Height times width of latents: 256 by 256 are a picture of 2048 by 2048 of most generators."""
    pixels: int = 1 << 24
    """Pixels of a picture."""
    request_pixels: int = 1 << 28
    """Pixels of all pictures of a request: 256 of 1024 by 1024."""
    prompt_characters: int = 16_384
    """Characters of a prompt."""
    prompt_tokens: int = 4096
    """Text tokens of a prompt that comes as tensors."""
    json_values: int = 200_000
    """Values and keys of a JSON body: commas, colons and brackets."""
    waiting_bytes: int = 2048 * MIB
    """Bytes of all items that wait for the model; beyond it requests are answered 429."""
    deadline: float = 100.0
    """Seconds from the first byte of a request to its answer, below the time-outs of the trainers' clients."""
    head_seconds: float = 10.0
    """Seconds in which the lines before a body must have arrived."""
    body_seconds: float = 30.0
    """Seconds in which a body must have arrived."""
    prompt_store_bytes: int = 1024 * MIB
    """Bytes of prompts kept by their hash."""

    def __post_init__(self) -> None:
        """Refuse bounds that let nothing through."""
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise DinaError(f"limits.{name}: {value}; accepted: a finite number above 0")
