"""Measures of pictures that no reward decides: what over-optimised generators give away themselves by.

Pictures are uint8 arrays (n, h, w, 3). Each measure but `diversity` is one number a picture.

    edge strength   mean |Laplacian| of the grey picture, grey in [0, 1]
    colour entropy  -sum_b p_b log2 p_b over a histogram of 4 x 4 x 4 RGB cells, 0 to 6 bits
    grid energy     share of the Fourier power in isolated peaks at high frequency, 0 to 1
    diversity       mean distance of pictures of one prompt, low-pass filtered

The power spectrum of a natural picture falls smoothly, about as 1/f^2; a regular texture of period p adds peaks at
multiples of 1/p. A frequency counts as a peak when its power is `PEAK` times the background: the larger of the medians
over the neighbours along either axis, so that the streaks which straight edges leave along the axes are background.
Spectra are averaged over overlapping tiles with a Hann window (Welch's method), so that the numbers of pictures of
different sizes mean the same and noise does not make peaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from dina_lrm.typed import DinaError

PEAK: Final = 6.0
"""How far above its surroundings a frequency must stand, in power."""
HIGH_FREQUENCY: Final = 0.125
"""In cycles a pixel: textures with a period of at most eight pixels, and the harmonics of wider ones."""
TILE: Final = 128
"""Largest side of a tile, in pixels."""
_NEIGHBOURS: Final = (-3, -2, 2, 3)
"""Offsets of the neighbours; those at 1 are left out: the window spreads a peak over them."""
GREY: Final = (0.299, 0.587, 0.114)
"""What red, green and blue are worth in a grey picture (ITU-R BT.601)."""
_FLAT: Final = (0.5 / 255) ** 2
"""Variance below half a grey level: a picture of one colour has no texture."""

Images = NDArray[Any]
"""uint8 (n, height, width, 3); anything else is a ValueError."""
Values = Float[np.ndarray, " pictures"]


def edge_strength(images: Images) -> Values:
    """Mean absolute Laplacian of the grey pictures, in [0, 8]; raises ValueError below 3 x 3 pixels.

    The reward `sharpness` is the mean of its square. It is no call of this, nor the other way round: this one adds in
    another order, in 64 bits, and numbers of runs that were recorded with either must stay comparable to the bit.
    """
    grey = _pixels("edge_strength", images, 3) @ np.array(GREY)
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return np.abs(around - 4 * inner).mean(axis=(1, 2))


def colour_entropy(images: Images) -> Values:
    """Entropy of the colours in bits, each channel cut into four: 0 for one colour, 6 when all 64 are as frequent."""
    _pixels("colour_entropy", images, 1)
    cells = (images >> 6).astype(np.int64) @ np.array([16, 4, 1])
    counts = np.stack([np.bincount(picture.ravel(), minlength=64) for picture in cells])
    share = counts / counts.sum(axis=1, keepdims=True)
    return -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1) + 0.0


def grid_energy(images: Images) -> Values:
    """Share of the power beyond the mean in isolated peaks at high frequency; raises ValueError below 16 x 16 pixels.

    Rendered pictures of the synthetic world have .007 on average, with the mildest lattice of `synthetic.defects` .06,
    with the strongest .5. A picture that shows a regular pattern has it too: it is the trend that tells.
    """
    power = power_spectrum(images, "grid_energy")
    side = power.shape[1]
    background = np.maximum(_beside(power, 1), _beside(power, 2))
    frequency = np.fft.fftfreq(side)
    high = np.hypot(frequency[:, None], frequency[None, :]) >= HIGH_FREQUENCY
    peaks = np.where(high & (power > PEAK * background), power - background, 0.0).sum(axis=(1, 2))
    return peaks / np.maximum(power.sum(axis=(1, 2)), _FLAT)


def diversity(images: Images, prompts: Sequence[str]) -> dict[str, float]:
    """Mean root-mean-square difference of two pictures of a prompt, in [0, 1]; prompts with one picture are left out.

    Pictures are blurred by 1/32 of their longer side first: noise and fine texture are no diversity.
    """
    width = max(images.shape[1:3]) / 32
    smooth = gaussian_filter(_pixels("diversity", images, 1), (0, width, width, 0), mode="nearest")
    flat = smooth.reshape(len(smooth), -1)
    return pairwise_distance(flat / np.sqrt(flat.shape[1]), prompts)


def pairwise_distance(vectors: Float[np.ndarray, "pictures width"], prompts: Sequence[str]) -> dict[str, float]:
    """Mean Euclidean distance of the vectors (features of pictures, say) of each prompt that has two or more."""
    if len(prompts) != len(vectors):
        raise DinaError(f"diversity: {len(vectors)} pictures and {len(prompts)} prompts; accepted: one prompt each")
    rows: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(row)
    return {prompt: _mean_distance(vectors[own]) for prompt, own in rows.items() if len(own) > 1}


MEASURES: Final[Mapping[str, Callable[[Images], Values]]] = {
    "edge_strength": edge_strength,
    "colour_entropy": colour_entropy,
    "grid_energy": grid_energy,
}
"""Measures of single pictures, by name."""


def _mean_distance(vectors: Float[np.ndarray, "pictures width"]) -> float:
    first, second = np.triu_indices(len(vectors), 1)
    return float(np.linalg.norm(vectors[first] - vectors[second], axis=1).mean())


def _pixels(where: str, images: Images, least: int) -> Float[np.ndarray, "pictures height width 3"]:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or len(images) == 0:
        raise DinaError(f"{where}: {images.dtype} of shape {images.shape}; accepted: uint8 (n, height, width, 3)")
    if min(images.shape[1:3]) < least:
        raise DinaError(f"{where}: pictures of {images.shape[1:3]} pixels; accepted: at least {least} x {least}")
    return images / 255.0


def power_spectrum(images: Images, asked_by: str = "power_spectrum") -> Float[np.ndarray, "pictures side side"]:
    """Power a pixel without the mean, summed over the channels and averaged over the tiles; frequencies as `fft2` has
    them. Raises ValueError below 16 x 16 pixels, in the name of what asked for it.
    """
    pixels = _pixels(asked_by, images, 16)
    height, width = pixels.shape[1:3]
    side = min(height, width, TILE)
    edge = np.hanning(side + 2)[1:-1]
    window = np.outer(edge, edge)[:, :, None]
    window /= np.sqrt((window**2).sum()) * side
    places = [(top, left) for top in _starts(height, side) for left in _starts(width, side)]
    power = np.zeros((len(pixels), side, side))
    for top, left in places:
        tile = pixels[:, top : top + side, left : left + side]
        mean = (tile * window).sum(axis=(1, 2), keepdims=True) / window.sum()
        power += (np.abs(np.fft.fft2((tile - mean) * window, axes=(1, 2))) ** 2).sum(axis=-1)
    return power / len(places)


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin: half a tile apart, and one at the far end."""
    return sorted({*range(0, length - side + 1, side // 2), length - side})


def _beside(power: Float[np.ndarray, "pictures side side"], axis: int) -> Float[np.ndarray, "pictures side side"]:
    return np.median([np.roll(power, shift, axis) for shift in _NEIGHBOURS], axis=0)
