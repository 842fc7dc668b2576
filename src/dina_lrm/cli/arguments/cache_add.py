"""Options of `dina-lrm cache add`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError
from dina_lrm.console.engines import EngineOptions
from dina_lrm.console.options import DtypeName, OffloadOptions, PlaceOptions
from dina_lrm.console.tables import ReadsComparisons
from dina_lrm.data.buckets import Sizes
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(OffloadOptions, PlaceOptions, EngineOptions, ReadsComparisons, SaysBefore):
    """Add comparisons to a finished cache: only pictures and prompts that it does not hold are encoded.

    Generator, sizes and type are the cache's. A comparison that it holds already (prompt, pictures, sides, label and
    names) is counted and not added. The cache is whole until the end; a run that was stopped goes on when the same
    command is given.

    Examples:
        dina-lrm cache add cache more.jsonl
        dina-lrm cache add cache more.jsonl --out both
        dina-lrm cache add cache more.jsonl --dry-run
        dina-lrm cache add /shared/cache more.jsonl --engine ray --ray-address auto
    """

    cache: Positional[Path]
    """The folder that `prepare` made."""
    comparisons: Positional[Path]
    """What to add: a table in any layout of docs/data.md, the folder of one or of a data set, or hub:OWNER/NAME."""
    out: Path | None = None
    """A folder for both, which must not exist; by default the cache itself gets more."""
    source: str = "ours"
    """Which data set or layout it is, where its columns are not to say so; docs/data.md lists them."""
    shuffle_sides: FlagCreatePairsOff[bool] = False
    """Swap the two images of each comparison on a fair coin of --seed."""
    backbone: str | None = None
    """Where the cache's generator is, a folder or hub id, when it is not where the cache says."""
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """This and the five that follow are the cache's; another value is refused."""
    resolution: str | None = None
    """Side in pixels of the square whose area all sizes of pictures have about, or several as 512,768,1024."""
    buckets: str | None = None
    """In the place of that a list of sizes, as in `prepare`."""
    prompt_length: int | None = None
    """Tokens of the long text encoder."""
    prompt_padding: Literal["max", "none"] | None = None
    """Whether prompts are padded."""
    pair_buckets: Literal["own", "common"] | None = None
    """Whether each picture has a bucket of its own."""
    compute_dtype: DtypeName = "auto"
    """What encoders compute in. auto: as the cache says, or as in `prepare` where it says no type or several; the cache
    then says all of them."""
    on_bad: Literal["skip", "raise"] = "skip"
    """Leave comparisons with an unreadable image out, and list them; or stop at the first."""
    shard_mib: int = 128
    """Largest size of a new file of the cache, in MiB."""
    processes: int = 1
    """How many processes encode at once, each with encoders of its own."""

    @property
    def sizes(self) -> Sizes | None:
        """The sizes that are asked for. Raises ValueError for words that say none."""
        return Sizes.parsed(self.resolution, self.buckets)

    def check(self) -> None:
        """Refuse a folder that cannot be made, sizes that are none, and counts below one."""
        Sizes.parsed(self.resolution, self.buckets)
        if self.out is not None:
            check_folder("--out", self.out.parent)
        if self.ray_engine() is not None and self.processes != 1:
            raise UserError(f"--processes {self.processes} with --engine ray; accepted: --actors {self.processes}")
        for name in ("processes", "shard_mib"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}; accepted: 1 or more")
