"""Scenes to pixels: exact signed distances, one pixel of anti-aliasing, all objects of a batch at once."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dina_lrm.synthetic.scene import Scene
from dina_lrm.synthetic.vocabulary import BACKGROUNDS, COLOURS, IMAGE_SIZE, SHAPES
from dina_lrm.typed import DinaError

Floats = NDArray[np.floating]
_PIXELS: Final = (np.arange(IMAGE_SIZE, dtype=np.float32) + 0.5).astype(np.float32)
_SQRT3: Final = np.float32(np.sqrt(3.0))


def signed_distance(shape: str, x: Floats, y: Floats, r: Floats | np.floating) -> Floats:
    """Distance in pixels to the outline, negative inside; x, y relative to the centre, r the radius; they broadcast."""
    if shape == "bar":
        return np.maximum(np.abs(x) - r, np.abs(y) - 0.36 * r)
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.9 * r
    if shape == "triangle":
        return np.maximum(y - 0.72 * r, (_SQRT3 * np.abs(x) - y) / 2 - 0.55 * r)
    if shape == "cross":
        ax, ay = np.abs(x), np.abs(y)
        arm = 0.3 * r
        return np.minimum(np.maximum(ax - arm, ay - r), np.maximum(ay - arm, ax - r))
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.78 * r) - 0.22 * r
    raise DinaError(f"signed_distance: shape {shape!r}; accepted: {', '.join(SHAPES)}")


def coverage(shapes: NDArray[np.int64], x: Floats, y: Floats, r: Floats) -> NDArray[np.float32]:
    """(n, 32, 32) share of every pixel that each of n objects covers, in [0, 1]."""
    out = np.empty((len(shapes), IMAGE_SIZE, IMAGE_SIZE), np.float32)
    for index, shape in enumerate(SHAPES):
        (rows,) = np.nonzero(shapes == index)
        if not len(rows):
            continue
        dx = _PIXELS[None, None, :] - x[rows, None, None].astype(np.float32)
        dy = _PIXELS[None, :, None] - y[rows, None, None].astype(np.float32)
        out[rows] = np.clip(0.5 - signed_distance(shape, dx, dy, r[rows, None, None].astype(np.float32)), 0, 1)
    return out


def render(scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """(n, 32, 32, 3) images in [0, 1]. Later objects lie over earlier ones."""
    images = np.empty((len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    images[:] = np.array([BACKGROUNDS[scene.background] for scene in scenes], np.float32)[:, None, None, :]
    flat = [(i, slot, o) for i, scene in enumerate(scenes) for slot, o in enumerate(scene.objects)]
    if not flat:
        return images
    shapes = np.array([SHAPES.index(o.kind.shape) for _, _, o in flat])
    geometry = np.array([(o.x, o.y, o.radius) for _, _, o in flat], np.float32)
    colours = np.array([COLOURS[o.kind.colour] for _, _, o in flat], np.float32)
    owners, slots = np.array([(i, slot) for i, slot, _ in flat]).T
    cover = coverage(shapes, *geometry.T)[..., None]
    for slot in range(slots.max() + 1):
        (rows,) = np.nonzero(slots == slot)
        images[owners[rows]] += cover[rows] * (colours[rows][:, None, None, :] - images[owners[rows]])
    return images
