"""Options of commands that read tables which others wrote: where our columns stand in them, and what is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.console.common import CommonArguments


@dataclass(kw_only=True)
class ReadsPrompts(CommonArguments):
    """A command that reads prompts."""

    columns: str | None = None
    """Which column of a table holds the prompts, where its name does not say so: prompt=title."""


@dataclass(kw_only=True)
class ReadsPictures(CommonArguments):
    """A command that reads pictures and their prompts."""

    columns: str | None = None
    """Which columns of a table hold pictures and prompts, where their names do not say so: image=photo,prompt=title."""


@dataclass(kw_only=True)
class ReadsTables(CommonArguments):
    """A command that reads a table of a user."""

    columns: str | None = None
    """Where our columns stand in a table with other names, such as prompt=title or chosen=win,rejected=lose;
    docs/data.md lists the layouts that are read without."""


@dataclass(kw_only=True)
class ReadsComparisons(ReadsTables):
    """A command that reads comparisons."""

    split: str | None = None
    """Which split of a data set is read; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    seed: int = 0
    """Seed of the coin that decides which image of a pair is called the first, where it is always the preferred one."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of a file of ours to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with other names, such as chosen=win,rejected=lose or
    image_a=x,image_b=y,preference=signed:label; for the preference a number, two columns of votes as FIRST:SECOND, or
    labels that are signed: (1, 0, -1), the index: (0, 1) or the side: (1, 2) of the preferred image."""
