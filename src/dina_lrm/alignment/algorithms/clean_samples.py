"""Clean latents and prompts for the pretraining loss: pictures that people preferred, at the size of the generator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.comparison import ImageSource, image_key
from dina_lrm.data.encoding.loading import load_or_fault
from dina_lrm.data.sources import read_comparisons
from dina_lrm.generators.generator import Generator, Latents
from dina_lrm.images import to_pixels
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class CleanSamples:
    """Latents in the generator's scaled space, and the prompt of each."""

    latents: Latents
    prompts: tuple[str, ...]


class LeftOutWarning(UserWarning):
    """Some of the pictures or prompts that were asked for cannot be learned from."""


def preferred_samples(
    generator: Generator, path: str | Path, count: int, rng: np.random.Generator, batch_size: int
) -> CleanSamples:
    """The preferred pictures of comparisons in our own format, `count` of them drawn without replacement (or all).

    A picture that cannot be read and a prompt that the text encoders would cut are left out, which a `LeftOutWarning`
    says. Pictures are scaled to cover the generator's square, and cropped at the centre.

    Raises:
        FileNotFoundError, ValueError: for a table that cannot be read, and where nothing is left to learn from.
    """
    drawn = _drawn(path, count, rng)
    if not drawn:
        raise DinaError(f"{path}: no comparison prefers one of its images; accepted: at least one that does")
    pictures = [load_or_fault(image) for _, image in drawn]
    cuts = generator.backbone.cut_prompts([prompt for prompt, _ in drawn])
    faults = [cut or (found if isinstance(found, str) else None) for found, cut in zip(pictures, cuts, strict=True)]
    kept = [row for row, fault in enumerate(faults) if fault is None]
    left_out = [fault for fault in faults if fault is not None]
    if not kept:
        raise DinaError(f"{path}: none of {len(drawn)} pictures can be learned from: {left_out[0]}")
    if left_out:
        said = f"{path}: {len(left_out)} of {len(drawn)} pictures are left out of the pretraining loss: {left_out[0]}"
        warnings.warn(said, LeftOutWarning, stacklevel=2)
    size = Bucket(generator.resolution, generator.resolution)
    with torch.no_grad():
        latents = [
            generator.backbone.encode_images(to_pixels([pictures[row] for row in rows], size))
            for rows in (kept[start : start + batch_size] for start in range(0, len(kept), batch_size))
        ]
    return CleanSamples(torch.cat(latents), tuple(drawn[row][0] for row in kept))


def _drawn(path: str | Path, count: int, rng: np.random.Generator) -> list[tuple[str, ImageSource]]:
    """A reservoir: each of the preferred pictures is as likely as any other, however many there are."""
    chosen: list[tuple[str, ImageSource]] = []
    for number, found in enumerate(_preferred(path)):
        if number < count:
            chosen.append(found)
        elif (place := int(rng.integers(number + 1))) < count:
            chosen[place] = found
    return chosen


def _preferred(path: str | Path) -> Iterator[tuple[str, ImageSource]]:
    seen = set()
    for comparison in read_comparisons(path):
        if comparison.is_tie:
            continue
        image = comparison.image_a if comparison.preference > 0.5 else comparison.image_b
        key = (comparison.prompt, image_key(image))
        if key not in seen:
            seen.add(key)
            yield comparison.prompt, image
