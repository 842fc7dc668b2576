"""Options of `dina-lrm cache verify`, `info`, `merge` and `upgrade`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_folder


@dataclass
class _Reads(CommonArguments):
    cache: Positional[Path]
    """The folder that `prepare` made."""


@dataclass
class Info(_Reads):
    """Say which generator made a cache, of what size its pictures are, and what it holds and misses.

    Tables are compared with their hashes, shards by their heads alone; `cache verify` reads them whole.

    Example:
        dina-lrm cache info cache
    """


@dataclass
class Verify(_Reads):
    """Read every file of a cache, and compare it with the hashes that `cache.json` records.

    Training and evaluation do so too, row by row when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong; the
    command that writes a damaged file again is said.

    Examples:
        dina-lrm cache verify cache
        dina-lrm cache verify cache --level quick
    """

    level: Literal["quick", "full", "deep"] = "full"
    """quick: tables, counts and heads of files; full: every byte; deep: also whether the latents are as a VAE's are."""


@dataclass
class Merge(CommonArguments):
    """Make one cache of two of one generator: what both hold once, comparisons of the first, then of the second.

    Shards are linked, or copied where that cannot be. The content is that of one run over both. Tables are compared
    with their hashes; `cache verify` reads the shards whole.

    Example:
        dina-lrm cache merge cache more --out both
    """

    first: Positional[Path]
    """A folder that `prepare` made."""
    second: Positional[Path]
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
