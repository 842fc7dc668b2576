"""The texture of pictures by its fineness: power over frequency, where the lattices of over-optimised generators show.

    power(f)   mean over the directions of the power spectrum at f cycles a pixel, mean over pictures

Spectra are those of `measures.grid_energy`. A natural picture falls smoothly, about as 1/f^2; a texture of period p
stands out as a bump at 1/p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.pictures.measures import Images, power_spectrum

FREQUENCIES: Final = tuple(round(0.015625 + 0.03125 * number, 6) for number in range(23))
"""Middles of the rings that directions are averaged over, in cycles a pixel: 0.5 is the finest along an axis, 0.7
along both.
"""
_HALF: Final = 0.015625


@dataclass(frozen=True, eq=False)
class TextureSpectrum:
    """Mean power in each ring of `FREQUENCIES`, over `pictures`; NaN where a ring holds no frequency."""

    power: Float[np.ndarray, " rings"]
    pictures: int

    @staticmethod
    def mean(parts: list[TextureSpectrum]) -> TextureSpectrum:
        """The spectrum of all pictures of the parts; rings that some parts lack are the mean of the others, and those
        that all lack are NaN.
        """
        if not parts:
            return TextureSpectrum(np.full(len(FREQUENCIES), np.nan), 0)
        counts = np.array([part.pictures for part in parts], dtype=float)[:, None]
        power = np.stack([part.power for part in parts])
        known = np.isfinite(power)
        weight = (counts * known).sum(axis=0)
        total = (counts * np.where(known, power, 0.0)).sum(axis=0)
        mean = np.divide(total, weight, out=np.full(len(FREQUENCIES), np.nan), where=weight > 0)
        return TextureSpectrum(mean, int(counts.sum()))


def texture_spectrum(images: Images) -> TextureSpectrum:
    """The spectrum of pictures of one size, at least 16 x 16 pixels (ValueError for smaller ones)."""
    power = power_spectrum(images, "texture_spectrum").mean(axis=0)
    frequency = np.fft.fftfreq(len(power))
    distance = np.hypot(frequency[:, None], frequency[None, :])
    rings = [
        power[(distance >= middle - _HALF) & (distance < middle + _HALF) & (distance > 0)] for middle in FREQUENCIES
    ]
    return TextureSpectrum(np.array([ring.mean() if ring.size else np.nan for ring in rings]), len(images))
