"""The cache folder: what lies in it, and how its tables are written and read.

cache.json             what made it: format version, backbone, sizes, counts, hash of the content
pairs.parquet          one row for each comparison (data/cache/pairs.py)
prompts.parquet        for each row of the conditioning its text, and what was cut off it
images.parquet         bucket, row and name of each image
missing.parquet        the comparisons that could not be encoded, and why
latents-BB-SSSSS.safetensors, prompts-SSSSS.safetensors        the tensors, in shards
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dina_lrm
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.generator_content import encoders_content
from dina_lrm.data.cache.shards import ShardInfo, shard_name
from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import replaced_when_complete, write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError, from_plain

FORMAT_VERSION = 1
HEADER = "cache.json"
CARD = "README.md"
"""What `prepare` says of it for people; nothing reads it."""
ROWS_AT_ONCE = 10_000
Column = list[Any] | NDArray[Any]

_COLUMN_TYPES = {name: pa.int64() for name in pairs.COMMON_WHOLE} | {name: pa.float32() for name in pairs.REAL}
PAIRS = pa.schema([(name, _COLUMN_TYPES.get(name, pa.string())) for name in pairs.COMMON_COLUMNS])
PROMPTS = pa.schema([("text", pa.string()), ("truncated", pa.string())])
IMAGES = pa.schema([("bucket", pa.int64()), ("row", pa.int64()), ("name", pa.string())])
MISSING = pa.schema([("number", pa.int64()), ("pair_id", pa.string()), ("image", pa.string()), ("reason", pa.string())])
PAIRS_FILE, PROMPTS_FILE, MISSING_FILE, IMAGES_FILE = (
    f"{name}.parquet" for name in ("pairs", "prompts", "missing", "images")
)
_PREFERENCE: Final = -1 - len(pairs.TEXT) - pairs.REAL[::-1].index("preference")
"""Where a row of comparisons has it, from the end."""
SCHEMAS: Final = {PAIRS_FILE: PAIRS, PROMPTS_FILE: PROMPTS, MISSING_FILE: MISSING, IMAGES_FILE: IMAGES}
"""The columns of each Parquet file."""


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
    content: str = ""
    """Hash of the VAE and the text encoders; empty where it is not known, as in caches of earlier versions."""

    @classmethod
    def of(cls, config: BackboneConfig) -> BackboneIdentity:
        """The identity of a configured backbone; its content is hashed where the generator lies on this machine."""
        content = encoders_content(config.pretrained, config.revision, config.prompt_length)
        return cls(config.family, config.pretrained, config.revision, config.prompt_length, content)

    def same_as(self, other: BackboneIdentity) -> bool:
        """Whether both encode alike: by what their files hold or, where that is not known, by where they lie."""
        if (self.family, self.prompt_length) != (other.family, other.prompt_length):
            return False
        if self.content and other.content:
            return self.content == other.content
        return self.revision == other.revision and (
            self.pretrained == other.pretrained or _same_folder(self.pretrained, other.pretrained)
        )

    @property
    def encodes_as(self) -> str:
        """Return what is equal for equal encoders, wherever they lie."""
        known = self.content or f"{self.pretrained!r} at {self.revision}"
        return f"{self.family} {known} with prompt length {self.prompt_length}"

    def __str__(self) -> str:
        revision = f" at {self.revision}" if self.revision else ""
        content = f" of content {self.content[:8]}" if self.content else ""
        return f"{self.family} {self.pretrained!r}{revision}{content} with prompt length {self.prompt_length}"


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
    tables: dict[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of each Parquet file; empty in caches of earlier versions."""
    library_version: str = dina_lrm.__version__
    format_version: int = FORMAT_VERSION
    sha256: str = ""
    """Hash of all the rest of this file; empty in caches of earlier versions."""

    def check_scale(self, scale: float | tuple[float, ...], shift: float | tuple[float, ...], folder: Path) -> None:
        """Raise ValueError when the latents are scaled otherwise; one that records no scale passes."""
        stored, given = (self.latent_scale, self.latent_shift), (scale, shift)
        if self.latent_scale is not None and stored != given:
            raise DinaError(
                f"{folder} holds latents of scale and shift {stored}; this backbone has {given}: its generator "
                "has another VAE. Encode the comparisons again with `dina-lrm prepare`"
            )

    def check_backbone(self, config: BackboneConfig, folder: Path) -> None:
        """Raise ValueError when the cache was not made for that generator."""
        wanted = BackboneIdentity.of(config)
        if not self.backbone.same_as(wanted):
            raise DinaError(
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
    fields = read_json_object(path)
    if fields.get("format_version") != FORMAT_VERSION:
        raise DinaError(
            f"{path}: format version {fields.get('format_version')!r}; this version of the library reads "
            f"{FORMAT_VERSION}: encode the comparisons again"
        )
    header = from_plain(CacheHeader, fields, str(path))
    if header.sha256 and header.sha256 != _seal(header):
        raise DinaError(f"{path}: was changed since it was written, or is damaged; encode the comparisons again")
    _check_shards(header, path)
    return header


def _check_shards(header: CacheHeader, path: Path) -> None:
    """Shards have the names that prepare gives them: no other file, and none of another folder, is ever opened."""
    prefixes = {latents_prefix(number): bucket.shards for number, bucket in enumerate(header.buckets)}
    for prefix, shards in {**prefixes, PROMPTS_PREFIX: header.prompts}.items():
        for number, shard in enumerate(shards):
            expected = shard_name(prefix, number)
            if shard.name != expected or shard.rows < 0:
                given = f"{shard.name!r} of {shard.rows} rows"
                raise DinaError(f"{path}: shard {given}; accepted: {expected!r}")


def _seal(header: CacheHeader) -> str:
    plain = {name: value for name, value in dataclasses.asdict(header).items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


PROMPTS_PREFIX = "prompts"


def cache_files(header: CacheHeader) -> list[str]:
    """The names of all files of a cache, its card aside."""
    shards = [*(shard for bucket in header.buckets for shard in bucket.shards), *header.prompts]
    return [HEADER, *SCHEMAS, *(f"{shard.name}.safetensors" for shard in shards)]


def latents_prefix(bucket: int) -> str:
    """What the names of the shards of a bucket begin with."""
    return f"latents-{bucket:02d}"


def partial_folder(folder: Path) -> Path:
    """Where a cache is made before it takes its name."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
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
        """The same rows, counted as they pass (`count` where nobody else wants them)."""
        return Tables(
            map(self._pair, tables.pairs),
            map(self._prompt, tables.prompts),
            map(self._missing, tables.missing),
            tables.images,
        )

    def count(self, tables: Tables) -> None:
        """Count every row of `tables`, their images aside."""
        counts = ((self._pair, tables.pairs), (self._prompt, tables.prompts), (self._missing, tables.missing))
        for count, rows in counts:
            for row in rows:
                count(row)

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
        self.ties += row[_PREFERENCE] == 0.5
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
    rows = {PAIRS_FILE: counted.pairs, PROMPTS_FILE: counted.prompts, MISSING_FILE: counted.missing}
    for name, table in {**rows, IMAGES_FILE: counted.images}.items():
        _write_table(folder / name, SCHEMAS[name], table)
    header = dataclasses.replace(
        tally.header(made_by), tables={name: content_of(folder / name) for name in SCHEMAS}, sha256=""
    )
    header = dataclasses.replace(header, sha256=_seal(header))
    write_json(folder / HEADER, dataclasses.asdict(header))
    return header


def _write_table(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
    rows = iter(rows)
    with replaced_when_complete(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            columns = zip(*chunk, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def check_recorded(folder: Path, name: str, header: CacheHeader) -> None:
    """Raise unless one of the Parquet files is what was written, where that was recorded.

    Raises:
        FileNotFoundError: it is gone.
        ValueError: it has another hash.
    """
    if not header.tables:  # an earlier version, which wrote down no hash
        return
    path = folder / name
    _expect_file(path)
    if header.tables.get(name) != content_of(path):
        raise DinaError(
            f"{path}: its content is not what {HEADER} recorded; it was changed or is damaged: encode the comparisons "
            "again, or fetch the file from where it is whole"
        )


def _expect_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: a part of the cache is gone; encode the comparisons again")


def read_columns(folder: Path, name: str, header: CacheHeader) -> dict[str, Column]:
    """All columns of one of the Parquet files, by name: numbers as arrays, text as lists.

    Raises:
        FileNotFoundError: it is gone.
        ValueError: it is not what was written: another hash, other columns or types, a number that is not there.
    """
    path = folder / name
    _expect_file(path)
    check_recorded(folder, name, header)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DinaError(f"{path}: not a Parquet file ({' '.join(str(error).split()):.200})") from error
    _check_schema(path, table, SCHEMAS[name])
    return {
        name: column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _check_schema(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    if not table.schema.remove_metadata().equals(schema):
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        expected = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise DinaError(f"{path}: the columns are {found}; expected: {expected}")
    for field, column in zip(schema, table.columns, strict=True):
        if column.null_count and not pa.types.is_string(field.type):
            raise DinaError(f"{path}: {field.name} has {column.null_count} empty cells; expected: numbers")
