"""How many pictures an autoencoder is given at once."""

from typing import Final

import torch

HOST_PIXELS: Final = 2**20
"""Pixels that an autoencoder encodes at once on a processor, where more at once are no faster: 1024 x 1024."""
DEVICE_PIXELS: Final = 2**22
"""The same on another device."""


def pictures_at_once(pixels: int, device: torch.device) -> int:
    """How many pictures of so many pixels an autoencoder is given at once, at least one.

    Its memory grows with all of them: 2.5 GiB a picture of 1024 x 1024 in float32, 40 GiB for sixteen.
    """
    return max(1, (HOST_PIXELS if device.type == "cpu" else DEVICE_PIXELS) // pixels)
