"""Options of `dina-lrm cache verify`, `info`, `merge`, `repack` and `upgrade`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.options import DtypeName, OffloadOptions, PlaceOptions
from dina_lrm.runs.places import check_folder, check_new_folder
from dina_lrm.runs.ranges import COUNT, check_ranges, ranged


@dataclass
class _Reads(CommonArguments):
    cache: Positional[str]
    """The folder that `prepare` made, or its address: `https://HOST/cache`, `s3://BUCKET/cache`."""


@dataclass
class Info(_Reads):
    """Say which generator made a cache, of what size its pictures are, and what it holds and misses.

    Tables are compared with their hashes, shards by their heads alone; `cache verify` reads them whole.

    Example:
        dina-lrm cache info cache
    """


@dataclass
class Verify(OffloadOptions, PlaceOptions, _Reads):
    """Read every file of a cache, and compare it with the hashes that `cache.json` records.

    Training and evaluation do so too, row by row when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong; the
    command that writes a damaged file again is said.

    Examples:
        dina-lrm cache verify cache
        dina-lrm cache verify cache --level quick
        dina-lrm cache verify cache --reencode 0.001
    """

    level: Literal["quick", "full", "deep"] = "full"
    """quick: tables, counts and heads of files; full: every byte; deep: also whether the latents are as a VAE's are."""
    reencode: float | None = None
    """Share in (0, 1] of prompts and pictures, at least one of each, that the cache's generator encodes again to
    compare: to the bit on the device and in the type that the cache records, within --tolerance elsewhere."""
    tolerance: float | None = None
    """How far values may be off, in standard deviations of their row; by default 0, or 0.05 on another device or in
    another type."""
    compute_dtype: DtypeName = "auto"
    """What encoders compute in meanwhile. auto: as the cache says, or else as in `prepare`."""
    seed: int = 0
    """Which rows are chosen."""


@dataclass
class Merge(CommonArguments):
    """Make one cache of two of one generator: what both hold once, comparisons of the first, then of the second.

    Shards are linked, or copied where that cannot be. The content is that of one run over both. Tables are compared
    with their hashes; `cache verify` reads the shards whole.

    Example:
        dina-lrm cache merge cache more --out both
    """

    first: Positional[str]
    """A folder that `prepare` made, or its address."""
    second: Positional[str]
    """Another, of the same generator, bucket sizes, prompt length and type."""
    out: Path
    """The folder of both; it must not exist."""

    def check(self) -> None:
        """Refuse a folder that cannot be made."""
        check_folder("--out", self.out.parent)


@dataclass
class Upgrade(_Reads):
    """Write a cache of an earlier format in the present one, its prompts without what padding needs no place for.

    Every row is read, and compared with what was written. Scores are the same to the bit.

    Example:
        dina-lrm cache upgrade old --out new
    """

    out: Path
    """The new cache's folder; it must not exist."""

    def check(self) -> None:
        """Refuse a folder that cannot be made."""
        check_folder("--out", self.out.parent)


@dataclass
class Repack(_Reads):
    """Write a cache anew: in shards of another size, images in the order in which training reads them, another type.

    Comparisons and prompts keep their order, so that a run meets the same batches. Where the type stays, every row
    stays the same to the bit, and so does the content; another type makes it another one, which a run does not take
    for its own.

    Examples:
        dina-lrm cache repack cache --out small --shard-mib 16
        dina-lrm cache repack cache --out halved --dtype bfloat16
    """

    out: Path
    """The new cache's folder; it must not exist."""
    shard_mib: int = ranged(128, COUNT)
    """Size of a shard in MiB, at most; prompts are counted with their padding."""
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """Type of the stored numbers; as it is, where none is given."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def check(self) -> None:
        """Refuse a folder that is there, or cannot be made."""
        check_new_folder("--out", self.out)
