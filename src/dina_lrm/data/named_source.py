"""A file of comparisons, or a published data set, by name: what is read of it, checked, and left out.

source = named_source("imagereward", Path("ImageReward"), split="test")
report = source.check()
write_comparisons("mine.jsonl", source.comparisons())
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dina_lrm.data.checking import CheckReport, check_comparisons
from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import (
    SOURCES,
    ReadOptions,
    check_mapping,
    chosen_split,
    is_hub,
    read_comparisons,
    read_options,
    source_rows,
    tables_left_out,
    takes_columns,
)
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class NamedSource:
    """Where comparisons are, and how they are read.

    `source` is a data set (a key of `SOURCES`), or "ours" for a table of a user, which its columns say how to read.
    Without a `path` a data set that can be is streamed, and so is the path "hub:OWNER/NAME". `split` is by default the
    test split; `images` the folder that image paths are relative to, when it is not that of the table; `seed` that of
    the coin that decides which image of a published pair is the first. `columns` says by our names where values stand
    in a table with other columns; `ignore_columns` are left out.

    Raises:
        ValueError: columns for a published data set, which knows its own.
    """

    source: str = "ours"
    path: Path | None = None
    split: str | None = None
    images: Path | None = None
    seed: int = 0
    ignore_columns: tuple[str, ...] = ()
    columns: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_mapping(self.source, self.columns)

    def distinct(self) -> tuple[int, int]:
        """How many different pictures and prompts there are; pictures by their paths, others each as one of its own."""
        paths: set[str] = set()
        prompts: set[str] = set()
        others = 0
        for comparison in self.comparisons():
            prompts.add(comparison.prompt)
            for image in (comparison.image_a, comparison.image_b):
                if isinstance(image, str | Path):
                    paths.add(str(image))
                else:
                    others += 1
        return len(paths) + others, len(prompts)

    @property
    def chosen_split(self) -> str | None:
        """The split that is read, None where the source has none. ValueError for one that it does not have."""
        return chosen_split(self.source, self.split, self.path)

    @property
    def title(self) -> str:
        """How a table about it is called."""
        return str(self.path) if takes_columns(self.source) else f"{self.source}, split {self.chosen_split}"

    def options(self) -> ReadOptions:
        """How its rows are read. ValueError for `images` that are no folder."""
        return read_options(self.path, self.ignore_columns, self.images, self.seed, self.columns)

    def comparisons(self) -> Iterator[Comparison]:
        """Its comparisons, row by row; raises ValueError, naming file and row, for one that is not accepted."""
        given = (self.ignore_columns, self.split, self.images, self.seed, self.columns)
        return read_comparisons(self.path, self.source, *given)

    def check(self, progress: Callable[[int, int], None] | None = None) -> CheckReport:
        """Read it to its end, whatever is wrong with it, and decode every image once.

        `progress` is called with (rows done, rows), where there is a path: a stream is not read twice only to know its
        length.
        """
        known = None if self.path is None or is_hub(self.path) else progress
        rows = lambda: source_rows(self.source, self.path, self.split)  # noqa: E731 - read once or twice
        return check_comparisons(rows, self.source, self.options(), known)

    def tables_left_out(self) -> list[Path]:
        """Tables that lie there too and are not read: another split, another format."""
        return tables_left_out(self.source, self.path, self.split)


def named_source(given: str, at: Path | None = None, how: NamedSource | None = None) -> NamedSource:
    """The source that a word means: a data set, which lies `at` a place, a file of a user, or "hub:OWNER/NAME".

    Raises ValueError for what is neither, and for a place beside a file.
    """
    how = how or NamedSource()
    if given in SOURCES:
        return replace(how, source=given, path=at)
    path = Path(given)
    if not (is_hub(given) or path.exists()):
        close = difflib.get_close_matches(given, SOURCES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DinaError(f"{given}: no such file or folder, nor a data set; {hint}known data sets: {', '.join(SOURCES)}")
    if at is not None:
        raise DinaError(f"{given} is a file and --path {at} was given too; give one of them")
    return replace(how, source="ours", path=path)
