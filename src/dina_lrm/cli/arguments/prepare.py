"""Options of `dina-lrm prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.console.common import CommonArguments
from dina_lrm.console.options import PlaceOptions
from dina_lrm.runs.places import check_folder


@dataclass
class Arguments(PlaceOptions, CommonArguments):
    """Encode every image and prompt of a comparison file or a published data set once, for training and evaluation.

    All rows are checked before anything is encoded. A run that was stopped goes on when the same command is given.

    Examples:
        dina-lrm prepare comparisons.jsonl --backbone synthetic --out cache
        dina-lrm prepare HPDv3 --source hpdv3 --split train --backbone SD35 --out cache
    """

    comparisons: Positional[Path]
    """What to encode: JSONL, JSON, CSV or Parquet with prompt, image_a, image_b, preference; the folder of a data
    set."""
    backbone: str
    """The generator: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """The cache's folder; it must not exist."""
    source: str = "ours"
    """Which data set it is: ours, hpdv3, hpdv2, imagereward, genai-bench, pick-a-pic, rankings or
    released-latents."""
    split: str | None = None
    """Which split of a data set; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of the file to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with others, as for `data check`."""
    shuffle_sides: FlagCreatePairsOff[bool] = False
    """Swap the two images of each comparison on a fair coin: for files that list the preferred image first."""
    seed: int = 0
    """Seed of that coin, and of the sides of published pairs."""
    resolution: int | None = None
    """Side of the square image bucket in pixels; by default that of the generator."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default 128 where the generator has one."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """How latents and conditioning are stored."""
    on_bad: Literal["skip", "raise"] = "skip"
    """Leave comparisons with an unreadable image out, and list them; or stop at the first."""
    batch_size: int = 16
    """Images or prompts encoded at once."""
    revision: str | None = None
    """Revision of a hub id: a branch, a tag or a commit."""

    def check(self) -> None:
        """Refuse a folder that cannot be made."""
        check_folder("--out", self.out.parent)
