"""Options of `dina-lrm cache info`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Say which generator made a cache, of what size its pictures are, and what it holds and misses.

    Tables are compared with their hashes, shards by their heads alone; `cache verify` reads them whole.

    Example:
        dina-lrm cache info cache
    """

    cache: Positional[Path]
    """The folder that `prepare` made."""
