"""Options of the commands that read comparisons from a file, or from a published data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments


@dataclass(kw_only=True)
class ComparisonArguments(CommonArguments):
    """Which comparisons are read, and how."""

    source: Positional[str]
    """A file of comparisons (JSONL, JSON, CSV or Parquet with prompt, image_a, image_b, preference), or a data set:
    hpdv3, hpdv2, imagereward, genai-bench, pick-a-pic, rankings, released-latents."""
    path: Path | None = None
    """Where the data set is: its folder, or a table. Without it, genai-bench and pick-a-pic are streamed."""
    split: str | None = None
    """Which split of the data set is read; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    seed: int = 0
    """Seed of the coin that decides which image of a published pair is called the first."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of a file of ours to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with others, such as image_a=chosen,image_b=rejected,preference=1; for the
    preference a number, or two columns of votes as FIRST:SECOND. Columns that are not named are left out."""
