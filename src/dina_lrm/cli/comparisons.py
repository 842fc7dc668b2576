"""The comparisons that a command line names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dina_lrm.cli.arguments.comparisons import ComparisonArguments
from dina_lrm.console.common import UserError
from dina_lrm.data.named_source import NamedSource, named_source
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.screen import Screen

_SHOWN = 5


def source_of(arguments: ComparisonArguments) -> NamedSource:
    """The file or data set that is meant, and how it is read."""
    found = named_source(arguments.source, arguments.path)
    return NamedSource(
        found.source,
        found.path,
        arguments.split,
        arguments.images,
        arguments.seed,
        tuple(arguments.ignore_columns),
        parsed_mapping(arguments.columns, found.source),
    )


def parsed_mapping(given: str | None, source: str) -> dict[str, str] | None:
    """The columns of a table with other ones; UserError where a source knows its own."""
    if given is None:
        return None
    if source != "ours":
        raise UserError(f"--columns {given}: {source} knows its own columns; accepted with a file of comparisons")
    return parse_columns(given)


def say_left_out(unread: Sequence[Path], shown: Screen) -> None:
    """Name the tables of a folder that were not read."""
    if unread:
        names = ", ".join(path.name for path in unread[:_SHOWN])
        more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
        shown.print(f"left out: {len(unread)} tables that lie there too: {names}{more}")
