"""Pictures of a generator for given prompts and seeds, with the latents they were decoded from; kept block by block.

A picture depends on its own prompt and seed alone, so that those of two generators can be set side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from dina_lrm.generators.generator import Generator
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class Samples:
    """Pictures, uint8 (n, height, width, 3), and their clean latents.

    Where `finite` is false, the generator gave NaN or infinite values: that is no picture, and has no scores. `cut`
    counts prompts that were not read whole.
    """

    images: NDArray[np.uint8]
    latents: Float[np.ndarray, "pictures channels height width"]
    finite: Bool[np.ndarray, " pictures"]
    cut: int = 0


@dataclass(frozen=True)
class PicturePlan:
    """A plan of drawing `images` pictures for each prompt, in `steps` of the generator's scheduler.

    A block is the pictures of `block_prompts` prompts: what is in memory, and in one file, at a time.
    """

    prompts: tuple[str, ...]
    images: int
    steps: int
    seed: int = 0
    batch_size: int = 16

    @property
    def block_prompts(self) -> int:
        """Prompts of a block."""
        return max(1, self.batch_size // self.images)

    def blocks(self) -> Iterator[range]:
        """The numbers of the prompts of each block."""
        for start in range(0, len(self.prompts), self.block_prompts):
            yield range(start, min(start + self.block_prompts, len(self.prompts)))

    def seeds(self, block: range) -> list[int]:
        """A seed for each picture of a block: a function of plan's seed, prompt's number and picture's number alone."""
        return [
            int(np.random.default_rng([self.seed, 11, prompt, image]).integers(2**62))
            for prompt in block
            for image in range(self.images)
        ]


@torch.no_grad()
def draw_samples(
    generator: Generator, plan: PicturePlan, block: range, went_on: Callable[[], None] = lambda: None
) -> Samples:
    """The pictures of a block, those of a prompt side by side. Prompts that are too long are cut and counted.

    `went_on` is called after every step of the sampler: what it raises ends this.
    """
    prompts = [plan.prompts[number] for number in block for _ in range(plan.images)]
    seeds, levels = plan.seeds(block), generator.levels(plan.steps)
    images, latents, finite, cut = [], [], [], 0
    for start in range(0, len(prompts), plan.batch_size):
        part = slice(start, start + plan.batch_size)
        conditioning = generator.backbone.encode_prompts(prompts[part])
        cut += sum(told is not None for told in conditioning.truncated or ())
        clean = generator.denoise(generator.noise(seeds[part]), conditioning, levels, went_on=went_on)
        seen, whole = generator.pictures_where_finite(clean)
        images.append(seen)
        finite.append(whole)
        latents.append(clean.float().cpu().numpy())
    return Samples(np.concatenate(images), np.concatenate(latents), np.concatenate(finite), cut)


class StoredSamples:
    """The blocks of one side in a folder, drawn where they are not there yet."""

    def __init__(self, folder: Path, name: str, plan: PicturePlan) -> None:
        self._folder, self._name, self._plan = folder, name, plan

    def draw(
        self,
        generator: Generator,
        weights: Callable[[], AbstractContextManager[None]],
        progress: ReportProgress,
    ) -> int:
        """Draw what is missing, each block inside `weights()`; returns how many blocks were there already.

        `progress` is told the pictures that are kept, after every block, and after every step of one that is drawn.
        """
        found, total = 0, len(self._plan.prompts) * self._plan.images
        self._folder.mkdir(parents=True, exist_ok=True)
        for block in self._plan.blocks():
            path = self._path(block)
            if path.is_file():
                found += 1
            else:
                with weights():
                    drawn = draw_samples(generator, self._plan, block, self._going_on(block, total, progress))
                with replaced_when_complete(path) as temporary:
                    np.savez(temporary, **vars(drawn))
            progress(block.stop * self._plan.images, total)
        return found

    def _going_on(self, block: range, total: int, progress: ReportProgress) -> Callable[[], None]:
        return lambda: progress(block.start * self._plan.images, total)

    def read(self, block: range) -> Samples:
        """A block that was drawn. Raises ValueError for a file that is not whole."""
        path = self._path(block)
        try:
            with path.open("rb") as file, np.load(file) as stored:
                found = Samples(stored["images"], stored["latents"], stored["finite"], int(stored["cut"]))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DinaError(f"{path}: cannot be read ({error}); delete it, and it is drawn again") from error
        wanted = len(block) * self._plan.images
        if len(found.images) != wanted:
            raise DinaError(f"{path}: holds {len(found.images)} pictures for {wanted}; delete it")
        return found

    def picture(self, prompt: int) -> NDArray[np.uint8]:
        """The first picture of a prompt, by number."""
        block = next(block for block in self._plan.blocks() if prompt in block)
        return self.read(block).images[(prompt - block.start) * self._plan.images]

    def _path(self, block: range) -> Path:
        return self._folder / f"{self._name}-{block.start:05d}.npz"
