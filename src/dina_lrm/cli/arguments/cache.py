"""Options of `dina-lrm cache verify` and `cache info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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

    Training and evaluation do so too, row by row when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong; the
    command that writes a damaged file again is said.

    Examples:
        dina-lrm cache verify cache
        dina-lrm cache verify cache --level quick
    """

    level: Literal["quick", "full", "deep"] = "full"
    """quick: tables, counts and heads of files; full: every byte; deep: also whether the latents are as a VAE's are."""
