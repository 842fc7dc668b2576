"""Options of `dina-lrm cache verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Read every file of a cache, and compare it with the hashes that `cache.json` records.

    Training and evaluation do so too, shard by shard when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong.

    Example:
        dina-lrm cache verify cache
    """

    cache: Positional[Path]
    """The folder that `prepare` made."""
