"""The comparisons that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dina_lrm.console.tables import ReadsComparisons
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.screen import Screen

_SHOWN = 5


def source_of(arguments: ReadsComparisons, found: NamedSource) -> NamedSource:
    """The file or data set that is meant, read as the options say."""
    return replace(
        found,
        split=arguments.split,
        images=arguments.images,
        seed=arguments.seed,
        ignore_columns=tuple(arguments.ignore_columns),
        columns=parse_columns(arguments.columns),
    )


def say_left_out(unread: Sequence[Path], shown: Screen) -> None:
    """Name the tables of a folder that were not read."""
    if unread:
        names = ", ".join(path.name for path in unread[:_SHOWN])
        more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
        shown.print(f"left out: {len(unread)} tables that lie there too: {names}{more}")
