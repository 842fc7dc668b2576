"""Drawn photographs with a hidden taste: landscapes by which a ranking can be tried without a download.

A scene is a sky over hills and water with a sun, seen with some warmth and haze. The taste likes warm light, a bright
sun and hills that stand out, and has its own idea of where a horizon belongs:

taste = warmth + 0.7 sun - 0.7 haze - 2 |horizon - 0.62|
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

SIZE: Final = (384, 256)
"""Width and height in pixels."""
_COLD, _WARM = np.array([0.72, 0.86, 1.0]), np.array([1.0, 0.83, 0.62])


@dataclass(frozen=True)
class Landscape:
    """A scene: `warmth`, `sun` (its brightness) and `haze` in [0, 1], `horizon` the share of the sky, in [0.3, 0.8]."""

    warmth: float
    sun: float
    haze: float
    horizon: float
    seed: int

    @property
    def taste(self) -> float:
        """How much the hidden taste likes it."""
        return self.warmth + 0.7 * self.sun - 0.7 * self.haze - 2 * abs(self.horizon - 0.62)

    def picture(self) -> Image.Image:
        """Draw it, with the grain of a film."""
        width, height = SIZE
        rng = np.random.default_rng([self.seed, 1])
        y, x = np.mgrid[0:height, 0:width] / height
        pixels = self._sky(x, y, rng)
        for layer in range(3):
            pixels = self._hills(pixels, x, y, layer, rng)
        pixels = self._water(pixels, y)
        light = self.warmth * _WARM + (1 - self.warmth) * _COLD
        pixels = pixels * light * (1 - 0.25 * ((x - 0.75) ** 2 + (y - 0.5) ** 2))[..., None]
        pixels = pixels + rng.normal(0, 0.015, pixels.shape)
        return Image.fromarray((255 * pixels.clip(0, 1)).astype(np.uint8))

    def _sky(self, x: NDArray[np.float64], y: NDArray[np.float64], rng: np.random.Generator) -> Float[np.ndarray, ...]:
        far = (y / self.horizon).clip(0, 1)[..., None]
        sky = (1 - far) * np.array([0.42, 0.6, 0.86]) + far * np.array([0.93, 0.9, 0.86])
        place = rng.uniform(0.3, 1.2), self.horizon * rng.uniform(0.25, 0.7)
        distance = np.hypot(x - place[0], y - place[1])[..., None]
        disc, glow = distance < 0.05, np.exp(-4 * distance)
        return sky * (0.72 + 0.2 * self.sun) + self.sun * (0.35 * glow + 0.5 * disc)

    def _hills(
        self, pixels: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], layer: int,
        rng: np.random.Generator,
    ) -> Float[np.ndarray, ...]:  # fmt: skip
        waves = sum(
            rng.uniform(0.2, 1) / k * np.sin(2 * math.pi * (k * x / 1.5 + rng.uniform())) for k in (1, 2, 3, 5, 8)
        )
        top = self.horizon - 0.1 + 0.05 * layer + 0.05 * waves
        near = np.array([0.16, 0.24, 0.14]) * (1.6 - 0.3 * layer)
        seen = near + self.haze * (0.8 - 0.2 * layer) * (np.array([0.85, 0.86, 0.88]) - near)
        return np.where((y > top)[..., None], seen, pixels)

    def _water(self, pixels: NDArray[np.float64], y: NDArray[np.float64]) -> Float[np.ndarray, ...]:
        depth = ((y - self.horizon - 0.08) / (1 - self.horizon)).clip(0, 1)[..., None]
        water = pixels[::-1] * 0.55 + np.array([0.05, 0.12, 0.18])
        return np.where(depth > 0, water * (1 - 0.4 * depth), pixels)


def landscape(seed: int, number: int) -> Landscape:
    """The scene of a number in the album of a seed."""
    rng = np.random.default_rng([seed, number])
    warmth, sun, haze = rng.uniform(0, 1, 3).tolist()
    return Landscape(warmth, sun, haze, float(rng.uniform(0.35, 0.8)), int(rng.integers(2**31)))


def write_photographs(folder: Path | str, count: int, seed: int = 0) -> dict[str, float]:
    """Write `count` drawn photographs as JPEG into a new or empty folder; returns the hidden taste of each by name.

    Raises DinaError for less than one, and for a folder that holds something.
    """
    folder = Path(folder)
    if count < 1:
        raise DinaError(f"write_photographs: count {count}; accepted: whole numbers of at least 1")
    if folder.exists() and any(folder.iterdir()):
        raise DinaError(f"write_photographs: {folder} holds something; accepted: a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    tastes = {}
    for number in range(count):
        scene, name = landscape(seed, number), f"photo-{number:04d}.jpg"
        with replaced_when_complete(folder / name) as temporary:
            scene.picture().save(temporary, "JPEG", quality=90)
        tastes[name] = scene.taste
    return tastes
