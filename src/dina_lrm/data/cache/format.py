"""The cache folder: what lies in it, and its header.

cache.json             what made it: format version, backbone, sizes, counts, hash of the content, the shards
pairs.parquet          one row for each comparison (data/cache/pairs.py)
prompts.parquet        one row for each prompt: its text, what was cut off it, its tokens, the hash of its conditioning
images.parquet         one row for each image: bucket, row, name, key of its content, size, the hash of its latents
missing.parquet        the comparisons that could not be encoded, and why
latents/BB/NNNNN.safetensors, prompts/NNNNN.safetensors        the tensors, in shards

Format 1 has the shards beside the tables, as `latents-BB-NNNNN` and `prompts-NNNNN`, and neither keys nor hashes of
rows; it is read, and no longer written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dina_lrm
from dina_lrm.backbones.conditioning import PromptShape
from dina_lrm.backbones.settings import BackboneConfig, PromptPadding, T5Weights
from dina_lrm.data.buckets import Bucket, Sizes
from dina_lrm.data.cache.fit import SizeFit
from dina_lrm.data.cache.generator_content import encoders_content
from dina_lrm.data.cache.prompt_layout import PromptLayout
from dina_lrm.data.cache.shards import ShardInfo, shard_name
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.typed import DinaError, from_plain

FORMAT_VERSION: Final = 2
READABLE: Final = (1, 2)
HEADER: Final = "cache.json"
CARD: Final = "README.md"
"""What `prepare` says of it for people; nothing reads it."""
TABLES: Final = ("pairs.parquet", "prompts.parquet", "missing.parquet", "images.parquet")


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
    prompt_padding: PromptPadding = "max"
    """As `BackboneConfig` has it; earlier versions knew no other."""
    t5_weights: T5Weights = "stored"
    """How T5's weights were held; "8bit" is another encoder."""

    @classmethod
    def of(cls, config: BackboneConfig) -> BackboneIdentity:
        """The identity of a configured backbone; its content is hashed where the generator lies on this machine."""
        content = encoders_content(config.pretrained, config.revision, config.prompt_length)
        where = (config.family, config.pretrained, config.revision, config.prompt_length)
        return cls(*where, content, config.prompt_padding, config.t5_weights)

    def same_as(self, other: BackboneIdentity) -> bool:
        """Whether both encode alike: by what their files hold or, where that is not known, by where they lie."""
        if (self._prompts, self.t5_weights) != (other._prompts, other.t5_weights):
            return False
        if self.content and other.content:
            return self.content == other.content
        return self.revision == other.revision and (
            self.pretrained == other.pretrained or _same_folder(self.pretrained, other.pretrained)
        )

    def prompt_layout(self, shape: PromptShape) -> PromptLayout:
        """How its prompts, which have `shape`, are laid out in a shard."""
        return PromptLayout.of(self.family, self.prompt_length, shape, self.prompt_padding)

    @property
    def _prompts(self) -> tuple[str, int, str]:
        return self.family, self.prompt_length, self.prompt_padding

    @property
    def encodes_as(self) -> str:
        """Return what is equal for equal encoders, wherever they lie."""
        known = self.content or f"{self.pretrained!r} at {self.revision}"
        return f"{self.family} {known} with {self._prompts_told}"

    @property
    def _prompts_told(self) -> str:
        padding = "" if self.prompt_padding == "max" else f" and prompt padding {self.prompt_padding!r}"
        rounded = "" if self.t5_weights == "stored" else f" and T5 in {self.t5_weights}"
        return f"prompt length {self.prompt_length}{padding}{rounded}"

    def __str__(self) -> str:
        revision = f" at {self.revision}" if self.revision else ""
        content = f" of content {self.content[:8]}" if self.content else ""
        return f"{self.family} {self.pretrained!r}{revision}{content} with {self._prompts_told}"


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
    """Hash of all that is held, whatever its order and its shards (data/cache/content.py)."""
    order: str = ""
    """Hash of the comparisons in their order; empty in format 1, where `content` knows it."""
    encode_batch: int | None = None
    """Rows that went through an encoder at once, from the first row of a shard on; None where it is not known."""
    pair_buckets: str | None = None
    """Whether both pictures of a comparison were brought to one bucket ("common") or each to its "own"."""
    devices: tuple[str, ...] = ()
    """What encoded it: rows of different devices may differ in their last bit."""
    compute_dtypes: tuple[str, ...] = ()
    """What encoders computed in; empty in caches of earlier versions."""
    resolutions: tuple[int, ...] = ()
    """Sides of the squares whose areas the buckets have, where these are several; `resolution` is None then, and where
    the buckets are a list of one's own."""
    fit: SizeFit | None = None
    """What became of the pictures' own sizes; None where they are not known."""
    tables: dict[str, str] = dataclasses.field(default_factory=dict)
    """SHA-256 of each Parquet file; empty in caches of earlier versions."""
    library_version: str = dina_lrm.__version__
    format_version: int = FORMAT_VERSION
    sha256: str = ""
    """Hash of all the rest of this file; empty in caches of earlier versions."""

    @property
    def shards(self) -> list[ShardInfo]:
        """Every shard: those of the buckets in order, then those of the prompts."""
        return [*(shard for bucket in self.buckets for shard in bucket.shards), *self.prompts]

    @property
    def sizes(self) -> list[tuple[int | None, int | None]]:
        """Width and height of each bucket, in pixels."""
        return [(bucket.width, bucket.height) for bucket in self.buckets]

    @property
    def wanted_sizes(self) -> Sizes | None:
        """What the buckets were made of; None where they have no sizes."""
        if self.resolution is not None or self.resolutions:
            return Sizes(self.resolutions or (self.resolution or 0,))
        known = tuple(Bucket(width, height) for width, height in self.sizes if width and height)
        return Sizes(listed=known) if known and len(known) == len(self.buckets) else None

    @property
    def prompts_prefix(self) -> str:
        """What the names of the shards of prompts begin with."""
        return PROMPTS_PREFIX if self.format_version > 1 else "prompts-"

    def latents_prefix(self, bucket: int) -> str:
        """What the names of the shards of a bucket begin with."""
        return latents_prefix(bucket) if self.format_version > 1 else f"latents-{bucket:02d}-"

    def check_scale(
        self, scale: float | tuple[float, ...], shift: float | tuple[float, ...], folder: Path | str
    ) -> None:
        """Raise ValueError when the latents are scaled otherwise; one that records no scale passes."""
        stored, given = (self.latent_scale, self.latent_shift), (scale, shift)
        if self.latent_scale is not None and stored != given:
            raise DinaError(
                f"{folder} holds latents of scale and shift {stored}; this backbone has {given}: its generator "
                "has another VAE. Encode the comparisons again with `dina-lrm prepare`"
            )

    def check_backbone(self, config: BackboneConfig, folder: Path | str) -> None:
        """Raise ValueError when the cache was not made for that generator."""
        wanted = BackboneIdentity.of(config)
        if self.backbone.prompt_padding != wanted.prompt_padding:
            stored, given = self.backbone.prompt_padding, wanted.prompt_padding
            raise DinaError(
                f"{folder} holds prompts with prompt_padding={stored!r}; this backbone reads them with "
                f"prompt_padding={given!r}, which gives other scores: encode the comparisons again with `dina-lrm "
                f"prepare --prompt-padding {given}`"
            )
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
    if fields.get("format_version") not in READABLE:
        raise DinaError(
            f"{path}: format version {fields.get('format_version')!r}; this version of the library reads "
            f"{' and '.join(map(str, READABLE))}: encode the comparisons again"
        )
    header = from_plain(CacheHeader, fields, str(path))
    if header.sha256 and header.sha256 != _seal(fields):
        raise DinaError(f"{path}: was changed since it was written, or is damaged; encode the comparisons again")
    _check_shards(header, path)
    return header


def write_header(folder: Path, header: CacheHeader) -> CacheHeader:
    """Write `cache.json`, with its own hash; returns what was written."""
    header = dataclasses.replace(header, sha256=_seal(dataclasses.asdict(header)))
    write_json(folder / HEADER, dataclasses.asdict(header))
    return header


def _check_shards(header: CacheHeader, path: Path) -> None:
    """Shards have the names that prepare gives them: no other file, and none of another folder, is ever opened."""
    prefixes = {header.latents_prefix(number): bucket.shards for number, bucket in enumerate(header.buckets)}
    for prefix, shards in {**prefixes, header.prompts_prefix: header.prompts}.items():
        for number, shard in enumerate(shards):
            expected = shard_name(prefix, number)
            if shard.name != expected or shard.rows < 0:
                given = f"{shard.name!r} of {shard.rows} rows"
                raise DinaError(f"{path}: shard {given}; accepted: {expected!r}")


def _seal(fields: Mapping[str, Any]) -> str:
    """Hash what the file says, whichever version wrote it."""
    plain = {name: value for name, value in fields.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


PROMPTS_PREFIX: Final = "prompts/"


def latents_prefix(bucket: int) -> str:
    """What the names of the shards of a bucket begin with."""
    return f"latents/{bucket:02d}/"


def cache_files(header: CacheHeader) -> list[str]:
    """The names of all files of a cache, its card aside."""
    return [HEADER, *TABLES, *(f"{shard.name}.safetensors" for shard in header.shards)]


def partial_folder(folder: Path) -> Path:
    """Where a cache is made before it takes its name."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(folder.name + ".partial")
