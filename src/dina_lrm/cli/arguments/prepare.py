"""Options of `dina-lrm prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError
from dina_lrm.console.engines import EngineOptions
from dina_lrm.console.options import DtypeName, EncoderOptions, PlaceOptions
from dina_lrm.console.tables import ReadsComparisons
from dina_lrm.data.buckets import Sizes
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(EncoderOptions, PlaceOptions, EngineOptions, ReadsComparisons, SaysBefore):
    """Encode every image and prompt of a comparison file or a published data set once, for training and evaluation.

    All rows are checked before anything is encoded. A run that was stopped goes on when the same command is given.

    Examples:
        dina-lrm prepare comparisons.jsonl --backbone synthetic --out cache
        dina-lrm prepare comparisons.jsonl --backbone synthetic --out cache --processes 2
        dina-lrm prepare HPDv3 --source hpdv3 --split train --backbone SD35 --out cache --buckets paper
        dina-lrm prepare comparisons.jsonl --backbone SD35 --out /shared/cache --engine ray --ray-address auto
        dina-lrm prepare HPDv3 --source hpdv3 --split train --backbone SD35 --out cache
    """

    comparisons: Positional[Path]
    """What to encode: a table in any layout of docs/data.md, the folder of one or of a data set, or hub:OWNER/NAME."""
    backbone: str
    """The generator: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """The cache's folder; it must not exist."""
    source: str = "ours"
    """Which data set or layout it is, where its columns are not to say so; docs/data.md lists them."""
    shuffle_sides: FlagCreatePairsOff[bool] = False
    """Swap the two images of each comparison on a fair coin of --seed."""
    resolution: str | None = None
    """Side in pixels of the square whose area all sizes of pictures have about, or several as 512,768,1024; by default
    that of the generator."""
    buckets: str | None = None
    """In the place of that a list of sizes, as 512x512,768x512, or "paper": the 13 of the paper's code. Each picture
    goes to the one that changes it least."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default 128 where the generator has one."""
    prompt_padding: Literal["max", "none"] = "max"
    """"max": prompts padded to that length, as generators read them. "none": they end behind their last token (SD3 and
    FLUX), for models trained with --model.prompt-padding none."""
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    """How latents and conditioning are stored; float32 takes twice the space, docs/data.md says what it changes."""
    pair_buckets: Literal["own", "common"] = "own"
    """Each picture in the bucket that changes it least, or both of a comparison in one between them."""
    compute_dtype: DtypeName = "auto"
    """What encoders compute in. auto: float32 on a processor, where a row then does not depend on what it is encoded
    with, and bfloat16 on a GPU that multiplies it natively."""
    on_bad: Literal["skip", "raise"] = "skip"
    """Leave comparisons with an unreadable image out, and list them; or stop at the first."""
    batch_size: int = 16
    """Images or prompts encoded at once."""
    shard_mib: int = 128
    """Largest size of a file of the cache, in MiB."""
    processes: int = 1
    """How many processes encode at once, each with encoders of its own; the cache is the same to the byte."""
    only: str | None = None
    """Write one file of a cache that exists again, as `cache verify` names it: latents/BB/NNNNN or prompts/NNNNN. The
    generator and how it is encoded are the cache's; what comes out must be what it recorded."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""

    def sizes(self) -> Sizes | None:
        """The sizes that are asked for; None is the generator's own. Raises ValueError for words that say none."""
        return Sizes.parsed(self.resolution, self.buckets)

    def check(self) -> None:
        """Refuse a folder that cannot be made."""
        check_folder("--out", self.out.parent)
        self.sizes()
        if self.ray_engine() is not None and self.processes != 1:
            raise UserError(f"--processes {self.processes} with --engine ray; accepted: --actors {self.processes}")
        for name in ("processes", "shard_mib", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}; accepted: 1 or more")
