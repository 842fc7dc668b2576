"""Comparisons of a file or a published data set, encoded into a cache in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.data.comparison import shuffle_sides
from dina_lrm.data.encoders import encoding_backbone, native_resolution
from dina_lrm.data.encoding import OnBad, encode_comparisons
from dina_lrm.data.named_source import NamedSource


@dataclass(frozen=True, eq=False)
class Prepared:
    """A cache, and what the tokenizers of the generator cannot read in its prompts, in a sentence for each of them."""

    data: EncodedComparisons
    unread_prompts: tuple[str, ...]


def prepare(
    source: NamedSource,
    generator: str,
    out: Path,
    *,
    shuffle: bool = False,
    resolution: int | None = None,
    prompt_length: int | None = None,
    dtype: torch.dtype = torch.float32,
    on_bad: OnBad = "skip",
    batch_size: int = 16,
    revision: str | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Encode every image and prompt of `source` once into the cache folder `out`, which must not exist.

    All rows are checked before anything is encoded; an `out` that was stopped on the way goes on. `generator` is
    "synthetic", a folder or a hub id, and says the side of the images (`resolution`, in pixels) and the length of its
    long text encoder where they are None. `shuffle` swaps the images of each comparison on a coin of the source's seed.

    Raises:
        ValueError: no comparison; a row that is not accepted; a bad image with `on_bad="raise"`.
        FileExistsError: `out` exists.
    """
    total = sum(1 for _ in source.comparisons())
    if total == 0:
        raise ValueError(f"{source.path}: holds no comparisons")
    comparisons = source.comparisons()
    backbone = encoding_backbone(generator, prompt_length, revision, device)
    data = encode_comparisons(
        shuffle_sides(comparisons, source.seed) if shuffle else comparisons,
        backbone,
        out,
        resolution=native_resolution(backbone) if resolution is None else resolution,
        batch_size=batch_size,
        dtype=dtype,
        on_bad=on_bad,
        total=total,
        progress=progress,
    )
    return Prepared(data, tuple(told for told in backbone.unread_prompts(data.prompts) if told is not None))
