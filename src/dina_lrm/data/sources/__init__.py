"""Where comparisons come from: one file for each source, one row of `SOURCES` for each file.

A source says which tables a path stands for, and turns one row into comparisons. Keeping rows and comparisons apart
lets a check go on after a bad row, while reading stops at it.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import genai_bench, hpdv2, hpdv3, image_reward, ours, pick_a_pic, rankings, released_latents
from dina_lrm.data.sources.fields import ReadOptions
from dina_lrm.data.sources.folders import left_out, own_tables, split_tables
from dina_lrm.data.sources.hub import HubDataset, hub_dataset, hub_rows, is_hub
from dina_lrm.data.sources.layouts import OWN_LAYOUTS
from dina_lrm.data.sources.layouts.layout import Reading
from dina_lrm.data.sources.tables import Row, scan_rows
from dina_lrm.data.sources.writing import write_comparisons
from dina_lrm.typed import DinaError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """How the data of one origin are read.

    `comparisons(row, options)` raises ValueError, naming file and row, for a row that it does not accept. `tables`
    gives the files of a path and split; `splits` are the published ones, the first is read unless another is named.
    `hub` says where rows can be streamed from where there is no local copy. `conflict(row)` says why a row that is
    accepted contradicts itself, for a check to count.
    """

    about: str
    comparisons: Callable[[Row, ReadOptions], list[Comparison]]
    tables: Callable[[Path, str | None], list[Path]]
    splits: tuple[str, ...] = ()
    hub: HubDataset | None = None
    conflict: Callable[[Row], str | None] | None = None


def _in_layout(name: str, row: Row, options: ReadOptions) -> list[Comparison]:
    return ours.comparisons(row, replace(options, layout=name))


OWN: Final = "ours"
"""The source of a user's own tables: their columns say how they are read."""
SOURCES: dict[str, Source] = {
    OWN: Source(
        "a table in any layout of docs/data.md, known by its columns",
        ours.comparisons,
        own_tables,
        conflict=ours.conflict,
    ),
    **{name: Source(layout.about, partial(_in_layout, name), own_tables) for name, layout in OWN_LAYOUTS.items()},
    "rankings": Source(
        "JSONL, JSON or Parquet with prompt, images, ranks",
        rankings.comparisons,
        partial(split_tables, folders=(".",)),
        ("rankings",),
    ),
    "hpdv3": Source("MizzenAI/HPDv3", hpdv3.comparisons, split_tables, ("test", "train"), conflict=hpdv3.conflict),
    "hpdv2": Source("ymhao/HPDv2", hpdv2.comparisons, split_tables, ("test", "train")),
    "imagereward": Source(
        "zai-org/ImageRewardDB", image_reward.comparisons, split_tables, ("test", "validation", "train")
    ),
    "genai-bench": Source(
        "TIGER-Lab/GenAI-Bench, arena votes on images",
        genai_bench.comparisons,
        partial(split_tables, folders=("image_generation", ".", "data")),
        ("test_v1", "test"),
        HubDataset("TIGER-Lab/GenAI-Bench", "image_generation"),
    ),
    "pick-a-pic": Source(
        "yuvalkirstain/pickapic_v2 (or pickapic_v1)",
        pick_a_pic.comparisons,
        split_tables,
        ("test_unique", "validation_unique", "test", "validation", "train"),
        HubDataset("yuvalkirstain/pickapic_v2"),
    ),
    "released-latents": Source(
        "the pre-encoded Parquet released with the paper",
        released_latents.comparisons,
        released_latents.tables,
        conflict=released_latents.conflict,
    ),
}


def source_named(name: str) -> Source:
    """The row of `SOURCES` with this name; raises ValueError naming the known ones."""
    if name not in SOURCES:
        close = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DinaError(f"unknown data source {name!r}; {hint}known sources: {', '.join(SOURCES)}")
    return SOURCES[name]


def takes_columns(name: str) -> bool:
    """Whether a source reads tables whose columns a user may map: those of published data sets know their own."""
    return name == OWN or name in OWN_LAYOUTS


def chosen_split(name: str, split: str | None, path: str | Path | None = None) -> str | None:
    """The split that is read: the one asked for, or the first that the source has; None where it has none.

    On the hub (`path` "hub:OWNER/NAME") any split may be asked for. Raises ValueError for a split that the source does
    not have.
    """
    source = source_named(name)
    if is_hub(path):
        return split or hub_dataset(path).split or (source.splits[0] if source.splits else None)
    if split is not None and split not in source.splits:
        accepted = ", ".join(source.splits) or "none, give the file that is meant"
        raise DinaError(f"source {name!r}: split {split!r}; accepted: {accepted}")
    return split or (source.splits[0] if source.splits else None)


def source_rows(name: str, path: str | Path | None, split: str | None = None) -> Iterator[Row]:
    """Every row of a source: of the files at `path`, or streamed from the Hugging Face Hub where it is None.

    A path "hub:OWNER/NAME" is a data set on the hub too.

    Raises:
        ValueError: an unknown source or split; no path, for a source that cannot be streamed.
        FileNotFoundError: when there is no such file, or no table of the split.
    """
    source, chosen = source_named(name), chosen_split(name, split, path)
    if is_hub(path):
        yield from hub_rows(hub_dataset(path), chosen)
    elif path is not None:
        for table in source.tables(Path(path), chosen):
            yield from scan_rows(table)
    elif source.hub is not None and chosen is not None:
        yield from hub_rows(source.hub, chosen)
    else:
        raise DinaError(f"source {name!r} is read from local files; give the path of its folder, or of a table in it")


def read_comparisons(
    path: str | Path | None,
    source: str = "ours",
    ignore_columns: Sequence[str] = (),
    split: str | None = None,
    images: str | Path | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> Iterator[Comparison]:
    """Stream the comparisons of a file, a folder of a published data set, or (path None) the hub, row by row.

    A table of your own is read in our columns or in any layout that its columns are known by, which the logger
    "dina_lrm" notes; a path "hub:OWNER/NAME" is streamed. `images` is the folder that image paths are relative to, when
    it is not that of the table. Published pairs get their sides by a coin of (seed, pair id), and so do tables that
    always name the preferred image first. `columns` says by our names where the values of another table stand, such as
    {"image_a": "chosen", "image_b": "rejected", "preference": "1"}. A cell without a picture is an `UnreadableImage` of
    its comparison.

    Raises:
        ValueError: at the first row that is not accepted, naming file, row, value and what is accepted.
        FileNotFoundError: when there is no such file.
    """
    reader = source_named(source)
    options = read_options(path, ignore_columns, images, seed, columns)
    check_mapping(source, columns)
    for number, row in enumerate(source_rows(source, path, split)):
        if number == 0:
            _note_layout(source, path, row, options)
        yield from reader.comparisons(row, options)


def reading_of(source: str, row: Row, options: ReadOptions) -> Reading | None:
    """How a row of a user's own table is read, where its layout is another than ours; None else."""
    if not takes_columns(source) or row.fault is not None:
        return None
    return ours.reading_of(row, options if source == OWN else replace(options, layout=source))


def layout_told(source: str, row: Row, options: ReadOptions) -> str | None:
    """How a row of a user's own table is read, or what the nearest layout lacks; None for published sets."""
    if not takes_columns(source):
        return None
    return ours.layout_told(row, options if source == OWN else replace(options, layout=source))


def _note_layout(source: str, path: str | Path | None, row: Row, options: ReadOptions) -> None:
    reading = reading_of(source, row, options)
    if reading is not None:
        _log.info("%s: %s", path, reading)


def read_options(
    path: str | Path | None,
    ignore_columns: Sequence[str] = (),
    images: str | Path | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
) -> ReadOptions:
    """The options of reading `path`. ValueError for `images` that are no folder: no picture would be found."""
    root = Path() if path is None else Path(path)
    if images is not None and not Path(images).is_dir():
        found = "is no folder" if Path(images).exists() else "is not there"
        raise DinaError(f"images: {found}, {images}; accepted: the folder that paths of images are relative to")
    return ReadOptions(root, None if images is None else Path(images), seed, tuple(ignore_columns), columns)


def tables_left_out(name: str, path: str | Path | None, split: str | None = None) -> list[Path]:
    """Tables in the folder `path` that are not read with the others: another split, another format."""
    if path is None or is_hub(path):
        return []
    return left_out(Path(path), source_named(name).tables(Path(path), chosen_split(name, split)))


def check_mapping(source: str, columns: Mapping[str, str] | None) -> None:
    """ValueError for a mapping of columns where the source is a published data set."""
    if columns is not None and not takes_columns(source):
        given = ",".join(f"{name}={column}" for name, column in columns.items())
        raise DinaError(f"columns {given}: {source} knows its own columns; accepted with a table of your own")


__all__ = [
    "SOURCES",
    "ReadOptions",
    "Reading",
    "Row",
    "Source",
    "check_mapping",
    "chosen_split",
    "is_hub",
    "layout_told",
    "read_comparisons",
    "read_options",
    "reading_of",
    "scan_rows",
    "source_named",
    "source_rows",
    "tables_left_out",
    "takes_columns",
    "write_comparisons",
]
