"""Which tables a path stands for, and which lie there and are not read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from dina_lrm.data.sources.tables import FORMATS
from dina_lrm.typed import DinaError

_SHARD: Final = re.compile(r"(?P<name>.*)-(?P<number>\d{3,})-of-(?P<total>\d{3,})")
_ALSO_TABLES: Final = (*FORMATS, ".gz", ".zst", ".bz2", ".xz", ".ndjson", ".arrow", ".feather", ".xlsx", ".tfrecord")
_PROBLEMS: Final = ".problems.jsonl"
"""How the lists end that a check writes beside its table."""


def own_tables(path: Path, split: str | None = None) -> list[Path]:
    """The tables of a user: a file; of a folder what is there first of `comparisons.*`, the `metadata.*` of a folder of
    images, all Parquet files, all tar archives, and its one table whatever it is called.
    """
    if split is not None:
        raise DinaError(
            f"{path}: our own tables have no splits, and {split!r} was asked for; give the file that is meant"
        )
    if not path.is_dir():
        return [path]
    # By stem: a check leaves comparisons.jsonl.problems.jsonl beside its table.
    found = _one_called(path, "comparisons") or _one_called(path, "metadata")
    found = found or visible(path.glob("*.parquet")) or visible(path.glob("*.tar")) or _one_table(path)
    if not found:
        accepted = ", ".join(f"comparisons{suffix}" for suffix in FORMATS)
        raise FileNotFoundError(f"{path}: holds no comparisons; expected in a folder: {accepted}, or Parquet files")
    return whole(found)


def _one_called(path: Path, stem: str) -> list[Path]:
    """The table of that name; ValueError where there are several."""
    return _one(path, [file for file in path.iterdir() if file.stem == stem and file.suffix.lower() in FORMATS])


def _one_table(path: Path) -> list[Path]:
    tables = [file for file in path.iterdir() if file.suffix.lower() in FORMATS and not file.name.endswith(_PROBLEMS)]
    return _one(path, [file for file in tables if file.is_file()])


def _one(path: Path, found: Iterable[Path]) -> list[Path]:
    tables = visible(found)
    if len(tables) > 1:
        raise DinaError(f"{path}: holds {', '.join(table.name for table in tables)}; give the one that is meant")
    return tables


def split_tables(path: Path, split: str | None, folders: Sequence[str] = (".", "data")) -> list[Path]:
    """The tables of a published data set: a file, or the files of a split below its folder.

    A split is `SPLIT.json` (or another format), or the Parquet shards `SPLIT-*.parquet`, in the first of `folders`
    that has any.
    """
    if not path.is_dir():
        return [path]
    assert split is not None
    for folder in (path / name for name in folders):
        tables = [folder / f"{split}{suffix}" for suffix in FORMATS if (folder / f"{split}{suffix}").is_file()]
        found = tables[:1] or visible(folder.glob(f"{split}-*.parquet"))
        if found:
            return whole(found)
    looked = " or ".join(str(path / name) for name in folders)
    raise FileNotFoundError(
        f"{path}: no table of split {split!r}; expected {split}.json or {split}-*.parquet in {looked}"
    )


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted, without hidden files: some systems leave a `._NAME` beside each file of an archive."""
    return sorted(path for path in paths if not path.name.startswith("."))


def whole(tables: list[Path]) -> list[Path]:
    """The tables as given; ValueError where their names (`test-00001-of-00003`) say that some are not there."""
    numbers: dict[tuple[Path, str], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for path in tables:
        found = _SHARD.fullmatch(path.stem)
        if found is not None:
            numbers[path.parent, found["name"]][int(found["total"])].add(int(found["number"]))
    for (folder, name), by_total in numbers.items():
        if len(by_total) > 1:
            totals = " and ".join(map(str, sorted(by_total)))
            raise DinaError(f"{folder}: the shards of {name} are of {totals}; accepted: those of one publication")
        ((total, present),) = by_total.items()
        gone = sorted(set(range(total)) - present)
        if gone:
            told = ", ".join(f"{name}-{number:05d}-of-{total:05d}" for number in gone[:5])
            more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
            raise DinaError(
                f"{folder}: {len(gone)} of {total} shards are not there: {told}{more}; fetch them, or give the file "
                "that is meant"
            )
    return tables


def left_out(path: Path, read: Sequence[Path]) -> list[Path]:
    """The tables below the folder `path` that are not among those `read`; none for a file."""
    if not path.is_dir():
        return []
    folders = {path, *(table.parent for table in read)}
    beside = {file for folder in folders for file in folder.iterdir() if file.suffix.lower() in _ALSO_TABLES}
    found = beside | set(path.rglob("*.parquet"))
    return visible(file for file in found - set(read) if file.is_file() and not file.name.endswith(_PROBLEMS))
