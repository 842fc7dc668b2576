"""Captions beside pictures: `x.txt` beside `x.png`, or a `metadata.jsonl` (or `.csv`) that names the pictures."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from dina_lrm.data.sources.tables import Row, scan_rows
from dina_lrm.pictures.names import shown
from dina_lrm.typed import DinaError

TABLES: Final = ("metadata.jsonl", "metadata.csv")
NAMES: Final = ("file_name", "image", "file")
TEXTS: Final = ("text", "caption", "prompt")


@dataclass
class Captions:
    """Caption of each picture that has one, by its name relative to the folder; `files` are those they stand in."""

    of: dict[str, str] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def read_captions(folder: Path, names: Sequence[str]) -> Captions:
    """The captions of pictures of a folder; those of a text file beside a picture count before a table's.

    A table names pictures in `file_name` (or `image`, `file`) and says their caption in `text` (or `caption`,
    `prompt`); it stands in the folder or in one below it. Raises ValueError naming the file for text that is not UTF-8,
    and for a table without these columns.
    """
    found, known = Captions(), set(names)
    for place in sorted({str(PurePosixPath(name).parent) for name in names} | {"."}):
        for table in TABLES:
            path = folder / place / table
            if path.is_file():
                found.files.append(_joined(place, table))
                of_table = {_joined(place, name): text for name, text in _of_table(path)}
                found.of.update({name: text for name, text in of_table.items() if name in known})
    for name in names:
        beside = PurePosixPath(name).with_suffix(".txt")
        path = folder / beside
        if path.is_file():
            text = _text(path)
            if text:
                found.of[name] = text
                found.files.append(str(beside))
    found.files = list(dict.fromkeys(found.files))  # x.png and x.jpg share x.txt
    return found


def _joined(place: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(place, name))


def _text(path: Path) -> str:
    """The words of a caption file in one line."""
    try:
        return " ".join(path.read_bytes().decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise DinaError(f"{shown(path)}: not UTF-8 text ({error}); accepted: a caption saved as UTF-8") from error


def _of_table(path: Path) -> Iterator[tuple[str, str]]:
    for row in scan_rows(path):
        name, text = _cell(row, NAMES), _cell(row, TEXTS)
        if text.strip():
            yield name, " ".join(text.split())


def _cell(row: Row, columns: Sequence[str]) -> str:
    values = row.parsed()
    column = next((column for column in columns if column in values), None)
    if column is None:
        raise DinaError(f"{row.where}: columns {', '.join(map(str, values))}; accepted: one of {', '.join(columns)}")
    value = values[column]
    if not isinstance(value, str):
        raise DinaError(f"{row.where}: {column} is {value!r:.60}; accepted: text")
    return value
