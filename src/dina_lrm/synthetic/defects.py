"""Damage to rendered images. Every defect takes images in [0, 1] and one severity in (0, 1] per image."""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d

from dina_lrm.synthetic.vocabulary import IMAGE_SIZE

Images = NDArray[np.float32]
Severity = NDArray[np.float32]


def blur(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """Gaussian blur with a standard deviation of 0.5 to 2 pixels."""
    out = np.empty_like(images)
    taps = np.arange(-6, 7)
    for i, (image, s) in enumerate(zip(images, severity, strict=True)):
        kernel = np.exp(-0.5 * (taps / (0.5 + 1.5 * s)) ** 2)
        kernel /= kernel.sum()
        out[i] = correlate1d(correlate1d(image, kernel, 0, mode="nearest"), kernel, 1, mode="nearest")
    return out


def noise(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """White noise with a standard deviation of 0.04 to 0.22 in every channel."""
    amplitude = (0.04 + 0.18 * severity)[:, None, None, None]
    return images + amplitude * rng.standard_normal(images.shape, dtype=np.float32)


def low_contrast(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """Shrink all values towards the image's mean by 20 to 75 %."""
    mean = images.mean(axis=(1, 2), keepdims=True)
    return mean + (images - mean) * (1 - 0.2 - 0.55 * severity)[:, None, None, None]


def colour_shift(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """Add a random colour cast of 0.08 to 0.35 (root mean square over the channels)."""
    cast = rng.standard_normal((len(images), 3)).astype(np.float32)
    cast -= cast.mean(axis=1, keepdims=True)
    cast /= np.sqrt((cast**2).mean(axis=1, keepdims=True)) + 1e-6
    return images + (cast * (0.08 + 0.27 * severity)[:, None])[:, None, None, :]


def grid(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """A lattice of darker lines every four pixels, 0.08 to 0.4 deep: the artefact of over-optimised generators."""
    lines = (np.arange(IMAGE_SIZE) % 4 == 0).astype(np.float32)
    lattice = np.maximum(lines[:, None], lines[None, :])[None, :, :, None]
    sign = np.where(images.mean(axis=(1, 2, 3)) > 0.4, -1.0, 1.0).astype(np.float32)
    return images + lattice * (sign * (0.08 + 0.32 * severity))[:, None, None, None]


def jpeg(images: Images, severity: Severity, rng: np.random.Generator) -> Images:
    """A real JPEG round trip at quality 40 down to 4."""
    out = np.empty_like(images)
    for i, (image, s) in enumerate(zip(images, severity, strict=True)):
        buffer = io.BytesIO()
        Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(buffer, "JPEG", quality=round(40 - 36 * s))
        out[i] = np.asarray(Image.open(buffer, formats=["JPEG"]), np.float32) / 255
    return out


Defect = Callable[[Images, Severity, np.random.Generator], Images]
DEFECTS: Final[dict[str, Defect]] = {
    "blur": blur,
    "noise": noise,
    "low contrast": low_contrast,
    "colour shift": colour_shift,
    "grid": grid,
    "jpeg": jpeg,
}
SEEN_DEFECTS: Final = ("blur", "noise", "low contrast", "colour shift")
"""The defects of the training comparisons; the others make the test set of unseen defects."""
UNSEEN_DEFECTS: Final = tuple(name for name in DEFECTS if name not in SEEN_DEFECTS)


def apply(images: Images, kinds: np.ndarray, severity: Severity, rng: np.random.Generator) -> Images:
    """Each image with its own defect ("" for none), clipped to [0, 1]."""
    out = images.copy()
    for name, defect in DEFECTS.items():
        (rows,) = np.nonzero(kinds == name)
        if len(rows):
            out[rows] = defect(images[rows], severity[rows], rng)
    return np.clip(out, 0, 1, out=out)
