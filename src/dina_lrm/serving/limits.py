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
    pixels: int = 1 << 24
    """Pixels of a picture."""
    prompt_characters: int = 16_384
    """Characters of a prompt."""
    waiting_bytes: int = 2048 * MIB
    """Bytes of all items that wait for the model; beyond it requests are answered 429."""
    deadline: float = 100.0
    """Seconds from the first byte of a request to its answer, below the time-outs of the trainers' clients."""
    body_seconds: float = 30.0
    """Seconds in which a body must have arrived."""
    prompt_store_bytes: int = 1024 * MIB
    """Bytes of prompts kept by their hash."""

    def __post_init__(self) -> None:
        """Refuse bounds that let nothing through."""
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise DinaError(f"limits.{name}: {value}; accepted: a finite number above 0")
