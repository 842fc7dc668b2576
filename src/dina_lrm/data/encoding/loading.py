"""The images of comparisons, loaded ahead of their use by a pool of threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from PIL import Image

from dina_lrm.data.comparison import Comparison, EncodedImage, ImageSource, UnreadableImage, image_key, image_name
from dina_lrm.images import load_image

Loaded = TypeVar("Loaded")
LoadingImages = dict[str, "Future[Image.Image | EncodedImage | str]"]
"""Images by their key, or what is wrong with them, as they load."""


@dataclass(frozen=True)
class Task:
    """A comparison on its way, its place in the stream, and the identities of its images."""

    number: int
    comparison: Comparison
    keys: tuple[str, str]

    @property
    def sources(self) -> tuple[ImageSource, ImageSource]:
        """Where its two images are."""
        return self.comparison.image_a, self.comparison.image_b

    @property
    def names(self) -> tuple[str, str]:
        """How its images are called."""
        return image_name(self.comparison.image_a), image_name(self.comparison.image_b)

    def digest(self) -> str:
        """What tells it from any other comparison of the same images."""
        comparison = self.comparison
        told: tuple[object, ...] = (comparison.prompt, comparison.preference, comparison.weight, comparison.pair_id)
        if comparison.preferences:
            told = (*told, comparison.preferences)
        return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def load_ahead(
    comparisons: Iterable[Comparison],
    load: Callable[[ImageSource], Loaded],
    pool: Executor,
    is_known: Callable[[str], bool],
    chunk: int,
) -> Iterator[tuple[Task, dict[str, Future[Loaded]]]]:
    """Each comparison with what is loaded for it, by the keys of its images; the next `chunk` load meanwhile.

    An image whose key is known is not loaded; one that an earlier comparison of this or the last chunk loads is shared.
    """
    numbered = enumerate(comparisons)
    tasks, images = _started(islice(numbered, chunk), load, pool, is_known, {})
    while tasks:
        following, following_images = _started(islice(numbered, chunk), load, pool, is_known, images)
        for task in tasks:
            yield task, images
        tasks, images = following, following_images


def _started(
    numbered: Iterable[tuple[int, Comparison]],
    load: Callable[[ImageSource], Loaded],
    pool: Executor,
    is_known: Callable[[str], bool],
    before: dict[str, Future[Loaded]],
) -> tuple[list[Task], dict[str, Future[Loaded]]]:
    tasks: list[Task] = []
    images: dict[str, Future[Loaded]] = {}
    for number, comparison in numbered:
        task = Task(number, comparison, (image_key(comparison.image_a), image_key(comparison.image_b)))
        tasks.append(task)
        for key, source in zip(task.keys, task.sources, strict=True):
            if key in before:
                images[key] = before[key]
            elif key not in images and not is_known(key):
                images[key] = pool.submit(load, source)
    return tasks, images


def load_or_fault(source: ImageSource) -> Image.Image | str:
    """The picture, or a sentence saying why there is none to be read."""
    if isinstance(source, EncodedImage):
        return f"{source.name}: known by its latents alone, and a picture is needed"
    if isinstance(source, UnreadableImage):
        return f"{source.name}: {source.reason}"
    try:
        return load_image(source)
    except (ValueError, OSError) as error:
        return str(error)


def ready_or_fault(source: ImageSource) -> Image.Image | EncodedImage | str:
    """What can be encoded: the picture, latents as they are, or a sentence saying why there is neither."""
    return source if isinstance(source, EncodedImage) else load_or_fault(source)
