"""Comparisons of a file or a published data set, encoded into a cache in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dina_lrm.backbones.settings import PromptPadding
from dina_lrm.cards.bases import base_name, licence_of
from dina_lrm.cards.data_sets import DataSet, cache_card
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import CacheHeader
from dina_lrm.data.comparison import shuffle_sides
from dina_lrm.data.encoding.comparisons import OnBad, encode_comparisons
from dina_lrm.data.encoding.encoders import encoding_backbone, native_resolution
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources.carded import licence_beside, shown_source
from dina_lrm.typed import DinaError


@dataclass(frozen=True, eq=False)
class Prepared:
    """A cache in its folder; `unread_prompts` say what the generator's tokenizers cannot read, a sentence a prompt."""

    folder: Path
    data: EncodedComparisons
    unread_prompts: tuple[str, ...]

    @property
    def header(self) -> CacheHeader:
        """What encoded the cache."""
        assert self.data.header is not None
        return self.data.header

    def __str__(self) -> str:
        """What it holds, in a sentence."""
        header, data = self.header, self.data
        held = (
            f"{header.pairs} comparisons ({header.ties} ties) of {data.images} images and {len(data.prompts)} prompts"
        )
        return f"{held} in {self.folder}"

    def notes(self) -> Iterator[str]:
        """Say in sentences what is missing or cut."""
        header, data = self.header, self.data
        if header.missing_pairs:
            yield (
                f"{header.missing_pairs} comparisons are missing: {header.missing_images} images cannot be read, such "
                f"as {data.missing[0].reason}; all are listed in {self.folder / 'missing.parquet'}"
            )
        if header.truncated_prompts:
            yield f"{header.truncated_prompts} prompts were cut, such as by {next(filter(None, data.truncated))}"
        if self.unread_prompts:
            yield f"{len(self.unread_prompts)} prompts are not read whole, such as {self.unread_prompts[0]}"

    def rows(self) -> dict[str, object]:
        """What made it and what it holds, by name, for a table that a person reads."""
        header, data = self.header, self.data
        return {
            "generator": header.backbone,
            "library version": header.library_version,
            "type": header.dtype,
            "pairs": f"{header.pairs}, {header.ties} of them ties",
            "pairs of each size": ", ".join(f"{size} ({count})" for size, count in data.sizes().items()),
            "images": data.images,
            "prompts": f"{len(data.prompts)}, {header.truncated_prompts} of them cut",
            "missing": f"{header.missing_pairs} pairs, {header.missing_images} images",
            "size": f"{self.bytes / 2**20:.1f} MiB",
            "content": header.content,
        }

    @property
    def bytes(self) -> int:
        """How much its files take."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def recorded(self) -> dict[str, Any]:
        """All that its header records but the shards, and what it holds, as plain values."""
        data = self.data
        held = {"images": data.images, "prompts": len(data.prompts), "sizes": data.sizes(), "bytes": self.bytes}
        return {name: value for name, value in (asdict(self.header) | held).items() if name != "buckets"}

    def to_dict(self) -> dict[str, Any]:
        """What it holds and what encoded it, as plain values."""
        header, data = self.header, self.data
        return {
            "backbone": asdict(header.backbone),
            "resolution": header.resolution,
            "dtype": header.dtype,
            "content": header.content,
            "pairs": header.pairs,
            "ties": header.ties,
            "images": data.images,
            "prompts": len(data.prompts),
            "truncated_prompts": header.truncated_prompts,
            "missing_pairs": header.missing_pairs,
            "missing_images": header.missing_images,
            "buckets": data.sizes(),
        }


def prepare(
    source: NamedSource,
    generator: str,
    out: Path,
    *,
    shuffle: bool = False,
    resolution: int | None = None,
    prompt_length: int | None = None,
    prompt_padding: PromptPadding = "max",
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
    long text encoder where they are None; `prompt_padding` is that of the models that will read it
    (`BackboneConfig.prompt_padding`). `shuffle` swaps the images of each comparison on a coin of the source's seed.

    Raises:
        ValueError: no comparison; a row that is not accepted; a bad image with `on_bad="raise"`.
        FileExistsError: `out` exists.
    """
    total = sum(1 for _ in source.comparisons())
    if total == 0:
        raise DinaError(f"{source.path}: holds no comparisons")
    comparisons = source.comparisons()
    backbone = encoding_backbone(generator, prompt_length, revision, device, prompt_padding)
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
        card=lambda header: cache_card(_described(header, source)),
    )
    return Prepared(out, data, tuple(told for told in backbone.unread_prompts(data.prompts) if told is not None))


def opened_cache(folder: Path) -> Prepared:
    """A cache that was prepared earlier. Raises ValueError and FileNotFoundError as `EncodedComparisons.load`."""
    return Prepared(folder, EncodedComparisons.load(folder), ())


def _described(header: CacheHeader, source: NamedSource) -> DataSet:
    """What the card of a cache says."""
    backbone = base_name(header.backbone.pretrained)
    images = sum(shard.rows for bucket in header.buckets for shard in bucket.shards)
    prompts = sum(shard.rows for shard in header.prompts)
    counts = {
        "source": shown_source(source),
        "pairs": f"{header.pairs:,}",
        "ties": f"{header.ties:,}",
        "images": f"{images:,}",
        "prompts": f"{prompts:,}, {header.truncated_prompts:,} of them cut",
        "left out": f"{header.missing_pairs:,} pairs with {header.missing_images:,} images that cannot be read",
        "generator": f"{backbone} ({header.backbone.family})",
        "licence of the generator": licence_of(header.backbone.pretrained, header.backbone.revision),
        "resolution": f"{header.resolution} pixels",
        "stored as": header.dtype,
        "content": header.content,
    }
    about = (
        "Human judgements of pictures as a generator's own encoders see them: latents of every picture and the "
        "conditioning of every prompt, each once. Another generator cannot read it. The licence is that which the card "
        "of the source states."
    )
    return DataSet("Encoded comparisons", about, counts, licence_beside(source.path))
