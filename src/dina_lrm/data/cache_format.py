"""The cache folder: what lies in it, and how its tables are written and read.

cache.json             what made it: format version, backbone, sizes, counts, hash of the content
pairs.parquet          one row for each comparison (data/pairs.py)
prompts.parquet        for each row of the conditioning its text, and what was cut off it
images.parquet         bucket, row and name of each image
missing.parquet        the comparisons that could not be encoded, and why
latents-BB-SSSSS.safetensors, prompts-SSSSS.safetensors        the tensors, in shards
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dina_lrm
from dina_lrm.backbones.base import BackboneConfig
from dina_lrm.data import pairs
from dina_lrm.data.shards import ShardInfo

FORMAT_VERSION = 1
HEADER = "cache.json"
ROWS_AT_ONCE = 10_000
Column = list[Any] | NDArray[Any]

_COLUMN_TYPES = {name: pa.int64() for name in pairs.WHOLE} | {name: pa.float32() for name in pairs.REAL}
PAIRS = pa.schema([(name, _COLUMN_TYPES.get(name, pa.string())) for name in pairs.COLUMNS])
PROMPTS = pa.schema([("text", pa.string()), ("truncated", pa.string())])
IMAGES = pa.schema([("bucket", pa.int64()), ("row", pa.int64()), ("name", pa.string())])
MISSING = pa.schema([("number", pa.int64()), ("pair_id", pa.string()), ("image", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True)
class Missing:
    """A comparison that is not in the set: its place in the stream, the image at fault, and what is wrong with it."""

    number: int
    pair_id: str | None
    image: str
    reason: str


@dataclass(frozen=True)
class BucketShards:
    """The images of one resolution bucket; width and height are in pixels, None where they are not known."""

    width: int | None
    height: int | None
    shards: tuple[ShardInfo, ...]


@dataclass(frozen=True)
class BackboneIdentity:
    """What decides the latents and the conditioning: the depth and the taps of a backbone do not."""

    family: str
    pretrained: str
    revision: str | None
    prompt_length: int

    @classmethod
    def of(cls, config: BackboneConfig) -> BackboneIdentity:
        """The identity of a configured backbone."""
        return cls(config.family, config.pretrained, config.revision, config.prompt_length)

    def same_as(self, other: BackboneIdentity) -> bool:
        """Whether both encode alike: equal, or two spellings of the same local folder."""
        return self == dataclasses.replace(other, pretrained=self.pretrained) and (
            self.pretrained == other.pretrained or _same_folder(self.pretrained, other.pretrained)
        )

    def __str__(self) -> str:
        revision = f" at {self.revision}" if self.revision else ""
        return f"{self.family} {self.pretrained!r}{revision} with prompt length {self.prompt_length}"


def _same_folder(one: str, other: str) -> bool:
    return Path(one).is_dir() and Path(other).is_dir() and Path(one).samefile(other)


@dataclass(frozen=True)
class CacheHeader:
    """What `cache.json` says."""

    backbone: BackboneIdentity
    dtype: str
    resolution: int | None
    buckets: tuple[BucketShards, ...]
    prompts: tuple[ShardInfo, ...]
    latent_scale: float | tuple[float, ...] | None = None
    latent_shift: float | tuple[float, ...] | None = None
    pairs: int = 0
    ties: int = 0
    truncated_prompts: int = 0
    missing_pairs: int = 0
    missing_images: int = 0
    content: str = ""
    library_version: str = dina_lrm.__version__
    format_version: int = FORMAT_VERSION

    def check_scale(self, scale: float | tuple[float, ...], shift: float | tuple[float, ...], folder: Path) -> None:
        """Raise ValueError when the latents are scaled otherwise; one that records no scale passes."""
        stored, given = (self.latent_scale, self.latent_shift), (scale, shift)
        if self.latent_scale is not None and stored != given:
            raise ValueError(
                f"{folder} holds latents of scale and shift {stored}; this backbone has {given}: its generator "
                "has another VAE. Encode the comparisons again with `dina-lrm prepare`"
            )

    def check_backbone(self, wanted: BackboneIdentity, folder: Path) -> None:
        """Raise ValueError when the cache was not made for `wanted`."""
        if not self.backbone.same_as(wanted):
            raise ValueError(
                f"{folder} was encoded by {self.backbone}; this backbone is {wanted}. Latents and prompts of another "
                "backbone are meaningless to it: encode the comparisons again with `dina-lrm prepare`"
            )


def read_header(folder: Path) -> CacheHeader:
    """Read `cache.json`.

    Raises:
        FileNotFoundError: `folder` holds no cache, or one that is not complete.
        ValueError: another format version, or fields that this version does not know.
    """
    path = folder / HEADER
    if not path.is_file():
        partial = partial_folder(folder)
        hint = f"; {partial} is unfinished: run prepare again to go on with it" if partial.is_dir() else ""
        raise FileNotFoundError(f"{folder}: no cache of comparisons there ({HEADER} is missing){hint}")
    fields = json.loads(path.read_text(encoding="utf-8"))
    if fields.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path}: format version {fields.get('format_version')!r}; this version of the library reads "
            f"{FORMAT_VERSION}: encode the comparisons again"
        )
    unknown = set(fields) - {field.name for field in dataclasses.fields(CacheHeader)}
    if unknown:
        raise ValueError(f"{path}: unknown fields {', '.join(sorted(unknown))}; the file was not written by prepare")
    fields["backbone"] = BackboneIdentity(**fields["backbone"])
    fields["prompts"] = _infos(fields["prompts"])
    fields["buckets"] = tuple(
        BucketShards(bucket["width"], bucket["height"], _infos(bucket["shards"])) for bucket in fields["buckets"]
    )
    return CacheHeader(**fields)


def _infos(rows: Sequence[Mapping[str, Any]]) -> tuple[ShardInfo, ...]:
    return tuple(ShardInfo(**row) for row in rows)


PROMPTS_PREFIX = "prompts"


def latents_prefix(bucket: int) -> str:
    """What the names of the shards of a bucket begin with."""
    return f"latents-{bucket:02d}"


def partial_folder(folder: Path) -> Path:
    """Where a cache is made before it takes its name."""
    return folder.with_name(folder.name + ".partial")


@dataclass(frozen=True)
class Tables:
    """The rows of the Parquet files of a cache, streamed in the order of their columns."""

    pairs: Iterable[Sequence[Any]]
    prompts: Iterable[Sequence[Any]]
    missing: Iterable[Sequence[Any]] = ()
    images: Iterable[Sequence[Any]] = ()


class Tally:
    """Counts what streams by: the figures that `cache.json` records, and one hash of the content."""

    def __init__(self, shards: Iterable[ShardInfo]) -> None:
        self.pairs = self.ties = self.truncated = self.dropped = 0
        self._digest = hashlib.sha256("".join(shard.sha256 for shard in shards).encode())

    def tables(self, tables: Tables) -> Tables:
        """The same rows, counted as they pass."""
        return Tables(
            map(self._pair, tables.pairs),
            map(self._prompt, tables.prompts),
            map(self._missing, tables.missing),
            tables.images,
        )

    def header(self, made_by: CacheHeader) -> CacheHeader:
        """`made_by` with the counts and the hash filled in."""
        return dataclasses.replace(
            made_by,
            pairs=self.pairs,
            ties=self.ties,
            truncated_prompts=self.truncated,
            missing_pairs=self.dropped,
            content=self.content,
        )

    @property
    def content(self) -> str:
        """The hash of everything so far."""
        return self._digest.hexdigest()

    def _pair(self, row: Sequence[Any]) -> Sequence[Any]:
        self._digest.update(repr(tuple(row)).encode())
        self.pairs += 1
        self.ties += row[pairs.COLUMNS.index("preference")] == 0.5
        return row

    def _prompt(self, row: Sequence[Any]) -> Sequence[Any]:
        self._digest.update(repr(row[0]).encode())
        self.truncated += row[1] is not None
        return row

    def _missing(self, row: Sequence[Any]) -> Sequence[Any]:
        self.dropped += 1
        return row


def write_tables(folder: Path, made_by: CacheHeader, tables: Tables) -> CacheHeader:
    """Write every file of a cache but its shards, `cache.json` last; returns the header with its counts."""
    tally = Tally([*(shard for bucket in made_by.buckets for shard in bucket.shards), *made_by.prompts])
    counted = tally.tables(tables)
    _write_table(folder / "pairs.parquet", PAIRS, counted.pairs)
    _write_table(folder / "prompts.parquet", PROMPTS, counted.prompts)
    _write_table(folder / "missing.parquet", MISSING, counted.missing)
    _write_table(folder / "images.parquet", IMAGES, counted.images)
    header = tally.header(made_by)
    text = json.dumps(dataclasses.asdict(header), indent=2, ensure_ascii=False)
    (folder / HEADER).write_text(text + "\n", encoding="utf-8")
    return header


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
    rows = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def read_columns(path: Path) -> dict[str, Column]:
    """All columns of one of the Parquet files, by name: numbers as arrays, text as lists."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a part of the cache is gone; encode the comparisons again")
    table = pq.read_table(path)
    return {
        name: column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
