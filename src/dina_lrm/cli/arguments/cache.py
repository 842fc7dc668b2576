"""Options of `dina-lrm cache verify` and `cache info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments


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

    Training and evaluation do so too, shard by shard when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong.

    Example:
        dina-lrm cache verify cache
    """
