"""Comparisons of a file or a published data set, encoded into a cache in one call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dina_lrm.backbones.settings import EncoderSettings, PromptPadding, T5Weights
from dina_lrm.cards.bases import base_name, licence_of
from dina_lrm.cards.data_sets import DataSet, cache_card
from dina_lrm.data.buckets import Sizes
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.fit import SizeFit
from dina_lrm.data.cache.fit_of_cache import fit_of
from dina_lrm.data.cache.format import CacheHeader, partial_folder, read_header
from dina_lrm.data.cache.parts import CacheParts
from dina_lrm.data.cache.place import place_of
from dina_lrm.data.comparison import shuffle_sides
from dina_lrm.data.encoding.anew import encode_anew
from dina_lrm.data.encoding.comparisons import Writers, encode_by, encoded_buckets
from dina_lrm.data.encoding.encoders import encoding_backbone, native_resolution
from dina_lrm.data.encoding.launched import Launch, is_finished, is_launched
from dina_lrm.data.encoding.processes import Several
from dina_lrm.data.encoding.settings import SHARD_BYTES, EncodingSettings, OnBad, PairBuckets
from dina_lrm.data.encoding.writing import Writing, write_shards
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources.carded import licence_beside, shown_source
from dina_lrm.engines.settings import RayEngine
from dina_lrm.precision import default_device
from dina_lrm.runs.progress import ReportProgress
from dina_lrm.screen import bytes_text
from dina_lrm.typed import DinaError, require

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone


@dataclass(frozen=True, eq=False)
class Prepared:
    """A cache in its folder; `unread_prompts` say what the generator's tokenizers cannot read, a sentence a prompt."""

    folder: Path
    data: EncodedComparisons
    unread_prompts: tuple[str, ...]
    shards_here: bool = True
    """Whether the shards lie in the folder, and not at an address."""

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
        if self.fit is not None and self.fit.kept < self.fit.images:
            yield str(self.fit)
        if header.truncated_prompts:
            yield f"{header.truncated_prompts} prompts were cut, such as by {next(filter(None, data.truncated))}"
        if self.unread_prompts:
            yield f"{len(self.unread_prompts)} prompts are not read whole, such as {self.unread_prompts[0]}"

    @cached_property
    def fit(self) -> SizeFit | None:
        """How well its pictures fit the sizes that they are stored in; None where their own are not known."""
        return fit_of(self.folder, self.header)

    def rows(self) -> dict[str, object]:
        """What made it and what it holds, by name, for a table that a person reads."""
        header, data = self.header, self.data
        return {
            "generator": header.backbone,
            "library version": header.library_version,
            "type": header.dtype,
            "computed in": ", ".join(header.compute_dtypes) or "not known",
            "sizes": "not known" if header.wanted_sizes is None else header.wanted_sizes,
            "pairs": f"{header.pairs}, {header.ties} of them ties",
            "pairs of each size": ", ".join(f"{size} ({count})" for size, count in data.sizes().items()),
            "images": data.images if self.fit is None else f"{data.images}: {self.fit}",
            "prompts": f"{len(data.prompts)}, {header.truncated_prompts} of them cut",
            "missing": f"{header.missing_pairs} pairs, {header.missing_images} images",
            "pair buckets": header.pair_buckets or "not known",
            "prompt padding": header.backbone.prompt_padding,
            **({} if self.parts is None else self.parts.rows()),
            "size": "at an address, not counted" if self.bytes is None else bytes_text(self.bytes),
            "content": header.content,
        }

    @cached_property
    def parts(self) -> CacheParts | None:
        """What its files are made of; None of a cache at an address, whose shards would have to be fetched."""
        return CacheParts.of(self.folder, self.header) if self.shards_here else None

    @property
    def bytes(self) -> int | None:
        """How much its files take; None at an address."""
        return None if self.parts is None else self.parts.bytes

    def recorded(self) -> dict[str, Any]:
        """All that its header records but the shards, and what it holds, as plain values."""
        data = self.data
        held = {"images": data.images, "prompts": len(data.prompts), "sizes": data.sizes(), "bytes": self.bytes}
        held["parts"] = None if self.parts is None else asdict(self.parts)
        held["fit"] = None if self.fit is None else asdict(self.fit)
        return {name: value for name, value in (asdict(self.header) | held).items() if name != "buckets"}

    def to_dict(self) -> dict[str, Any]:
        """What it holds and what encoded it, as plain values."""
        header, data = self.header, self.data
        return {
            "backbone": asdict(header.backbone),
            "resolution": header.resolution,
            "sizes": None if header.wanted_sizes is None else str(header.wanted_sizes),
            "dtype": header.dtype,
            "compute_dtypes": list(header.compute_dtypes),
            "content": header.content,
            "pairs": header.pairs,
            "ties": header.ties,
            "images": data.images,
            "prompts": len(data.prompts),
            "truncated_prompts": header.truncated_prompts,
            "missing_pairs": header.missing_pairs,
            "missing_images": header.missing_images,
            "buckets": data.sizes(),
            "fit": None if self.fit is None else asdict(self.fit),
        }


@dataclass(frozen=True)
class Encoders:
    """Which generator encodes, and where; it can be sent to other processes, which load it for themselves."""

    generator: str
    prompt_length: int | None = None
    revision: str | None = None
    device: str | None = "cpu"
    """None is the first there is, wherever it is loaded."""
    prompt_padding: PromptPadding = "max"
    compute_dtype: torch.dtype | None = None
    held: EncoderSettings | None = None
    t5_weights: T5Weights = "stored"

    def load(self) -> Backbone:
        """The generator's backbone, for its encoders."""
        return encoding_backbone(
            self.generator,
            self.prompt_length,
            self.revision,
            self.device or default_device(),
            self.prompt_padding,
            self.compute_dtype,
            self.held,
            self.t5_weights,
        )

    def load_for(self, writer: int) -> Backbone:
        """Load it for one of several writers: each on a GPU of its own, as far as there are so many."""
        if self.device != "cuda" or not torch.cuda.is_available():
            return self.load()
        return replace(self, device=f"cuda:{writer % torch.cuda.device_count()}").load()


def prepare(
    source: NamedSource,
    generator: str,
    out: Path,
    *,
    shuffle: bool = False,
    resolution: int | Sizes | None = None,
    prompt_length: int | None = None,
    prompt_padding: PromptPadding = "max",
    dtype: torch.dtype = torch.bfloat16,
    on_bad: OnBad = "skip",
    pair_buckets: PairBuckets = "own",
    batch_size: int = 16,
    shard_bytes: int = SHARD_BYTES,
    revision: str | None = None,
    device: torch.device | str | None = "cpu",
    compute_dtype: torch.dtype | None = None,
    encoders: EncoderSettings | None = None,
    t5_weights: T5Weights = "stored",
    processes: int = 1,
    engine: RayEngine | None = None,
    reading: ReportProgress | None = None,
    progress: ReportProgress | None = None,
) -> Prepared:
    """Encode every image and prompt of `source` once into the cache folder `out`, which must not exist.

    All rows are checked before anything is encoded; an `out` that was stopped on the way goes on. `generator` is
    "synthetic", a folder or a hub id, and says the side of the images (`resolution`, in pixels, or `Sizes`) and the
    length of its long text encoder where they are None; `prompt_padding` is that of the models that will read it
    (`BackboneConfig.prompt_padding`); `compute_dtype`, `encoders` and `t5_weights` are as in `encoding_backbone`.
    `shuffle` swaps the images of each comparison on a coin of the source's seed. `processes` encode at once, each with
    encoders of its own; so do those of a launch (`torchrun`, `accelerate launch`); with an `engine` workers of Ray do,
    who must see `out` and the pictures, each on a device of its own choice where `device` is None. `reading` and
    `progress` as in `encode_comparisons`.

    Raises:
        ValueError: no comparison; a row that is not accepted; a bad image with `on_bad="raise"`; too little room.
        FileExistsError: `out` exists.
    """
    check_writers(processes, engine)
    launch = Launch(str(device) == "cpu") if is_launched() else None
    device = device if launch is None else launch.device
    total = sum(1 for _ in source.comparisons())
    if total == 0:
        raise DinaError(f"{source.path}: holds no comparisons")
    comparisons = source.comparisons()
    place = None if device is None else str(device)
    loaded = Encoders(generator, prompt_length, revision, place, prompt_padding, compute_dtype, encoders, t5_weights)
    backbone = loaded.load()
    sizes = Sizes.of(native_resolution(backbone) if resolution is None else resolution)
    settings = EncodingSettings(sizes, batch_size, dtype, shard_bytes, on_bad, pair_buckets)
    if launch is not None and launch.index:
        writing = Writing(partial_folder(out), settings, encoded_buckets(backbone, sizes))
        launch.other(backbone, writing, partial(is_finished, out))
        return opened_cache(out)
    data = encode_by(
        settings,
        shuffle_sides(comparisons, source.seed) if shuffle else comparisons,
        backbone,
        out,
        total=total,
        reading=reading,
        progress=progress,
        card=lambda header: cache_card(described(header, shown_source(source), licence_beside(source.path))),
        writers=writers_of(launch, loaded, processes, engine),
    )
    return Prepared(out, data, tuple(told for told in backbone.unread_prompts(data.prompts) if told is not None))


def prepare_shard(source: NamedSource, cache: Path, shard: str, device: torch.device | str = "cpu") -> str:
    """Encode one shard of a cache again, in the place of a file that is damaged or gone; returns its hash.

    `source` holds the comparisons that the cache is of. The generator is the one that the cache names. Raises
    ValueError as `encode_anew`.
    """
    header = read_header(cache)
    made_by = header.backbone
    told = (made_by.pretrained, made_by.prompt_length, made_by.revision)
    dtype = computed_in(header)
    encoders = Encoders(*told, str(device), made_by.prompt_padding, dtype, t5_weights=made_by.t5_weights)
    return encode_anew(cache, shard, source.comparisons(), encoders.load()).sha256


def computed_in(header: CacheHeader) -> torch.dtype | None:
    """What the cache's encoders computed in; None where that is not one type, or not known."""
    found: torch.dtype | None = getattr(torch, header.compute_dtypes[0]) if len(header.compute_dtypes) == 1 else None
    return found


def check_writers(processes: int, engine: RayEngine | None) -> None:
    """Raise ValueError for writers that there cannot be."""
    require(processes >= 1, "processes", processes, "at least 1")
    require(processes == 1 or not is_launched(), "processes", processes, "1 in each process of a launch")
    require(engine is None or not is_launched(), "engine", "ray", "the local one in a process of a launch")


def writers_of(launch: Launch | None, encoders: Encoders, processes: int, engine: RayEngine | None) -> Writers:
    """Who makes the shards: this process, those of its launch, several of this machine, or workers of Ray."""
    if launch is not None:
        return launch.first
    if engine is None:
        return write_shards if processes == 1 else Several(processes, encoders.load_for)
    engine.check()
    from dina_lrm.data.encoding.on_ray import RayWriters  # Ray is imported where it is asked for

    return RayWriters(engine, encoders.load_for, with_gpu=encoders.device != "cpu")


def opened_cache(cache: Path | str) -> Prepared:
    """A cache that was prepared earlier, a folder or an address.

    Raises ValueError and FileNotFoundError as `EncodedComparisons.load`.
    """
    place = place_of(cache)
    return Prepared(place.folder, EncodedComparisons.load(cache), (), shards_here=place.fetched is None)


def described(header: CacheHeader, source: str, licence: str) -> DataSet:
    """What the card of a cache says, which was made of `source`."""
    backbone = base_name(header.backbone.pretrained)
    images = sum(shard.rows for bucket in header.buckets for shard in bucket.shards)
    prompts = sum(shard.rows for shard in header.prompts)
    counts = {
        "source": source,
        "pairs": f"{header.pairs:,}",
        "ties": f"{header.ties:,}",
        "images": f"{images:,}",
        "prompts": f"{prompts:,}, {header.truncated_prompts:,} of them cut",
        "left out": f"{header.missing_pairs:,} pairs with {header.missing_images:,} images that cannot be read",
        "generator": f"{backbone} ({header.backbone.family})",
        "licence of the generator": licence_of(header.backbone.pretrained, header.backbone.revision),
        "sizes": str(header.wanted_sizes or "not known"),
        "stored as": header.dtype,
        "computed in": ", ".join(header.compute_dtypes) or "not known",
        "content": header.content,
    }
    about = (
        "Human judgements of pictures as a generator's own encoders see them: latents of every picture and the "
        "conditioning of every prompt, each once. Another generator cannot read it. The licence is that which the card "
        "of the source states."
    )
    return DataSet("Encoded comparisons", about, counts, licence)
