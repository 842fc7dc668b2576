"""The pictures that are to be scored, by name: those of a folder, of a table, or a single file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dina_lrm.data.sources.parquet_rows import parquet_rows
from dina_lrm.data.sources.tables import FORMATS, Row, scan_rows
from dina_lrm.pictures.folders import PictureFolder, scan_pictures
from dina_lrm.pictures.names import printable, shown
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST_NAME: Final = 1024


@dataclass(frozen=True)
class Picture:
    """One picture: its name in the output, and its path or bytes, or why there is neither."""

    name: str
    source: Path | bytes | None
    fault: str | None = None


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in their order; `read` goes through them anew each time, so that those in a table are not kept.

    `texts` are the prompts beside them, where a column of the table holds some. The order of a table is its writer's
    own (`in_order`), that of a folder only one of several.
    """

    where: Path
    names: tuple[str, ...]
    read: Callable[[], Iterator[Picture]]
    in_order: bool = True
    texts: tuple[str, ...] | None = None
    note: str | None = None
    """Which columns of a table were read, where they are not called image and prompt."""
    scan: PictureFolder = field(default_factory=PictureFolder)


def is_table(path: Path) -> bool:
    """Whether a file is read as a table, by its suffix."""
    return path.is_file() and path.suffix.lower() in FORMATS


def folder_pictures(path: Path) -> Pictures:
    """Find the pictures below a folder, sorted by name; or a single file, whatever it is called."""
    scan = scan_pictures(path) if path.is_dir() else PictureFolder(names=[path.name])
    folder = path if path.is_dir() else path.parent

    def read() -> Iterator[Picture]:
        for name in scan.names:
            yield Picture(printable(name), folder / name)

    return Pictures(path, tuple(map(printable, scan.names)), read, in_order=False, scan=scan)


def table_columns(table: Path) -> list[str]:
    """The columns of a table, as its first row that can be read has them; ValueError where none can."""
    if table.suffix.lower() == ".parquet":
        return _schema(table).names
    first = None
    for row in scan_rows(table):
        if row.fault is None:
            return [str(name) for name in row.values]
        first = first or row
    return [] if first is None else [str(name) for name in first.parsed()]


def table_pictures(table: Path, image: str, column: str | None) -> Pictures:
    """Read a table's column `image`: paths, bytes, or both, of which the bytes are taken; prompts of `column`.

    A row that cannot be parsed is one without a picture, called by its place. Raises ValueError for a row without the
    column, and for one whose prompt is no text.
    """
    names, texts = [], []
    for row in _named_rows(table, image, column):
        if row.fault is not None:
            names.append(row.place)
            texts.append("")
            continue
        names.append(_name(row, row.parsed().get(image)))
        if column is not None:
            texts.append(text_of(row, column))
    given = None if column is None else tuple(texts)
    read = {"pictures": (image, "image"), "prompts": (column, "prompt")}
    told = [f"{what} = {name}" for what, (name, usual) in read.items() if name not in (None, usual)]
    note = f"{table}: {', '.join(told)}" if told else None
    return Pictures(
        table, tuple(names), lambda: (_picture(row, image) for row in scan_rows(table)), texts=given, note=note
    )


def text_of(row: Row, column: str) -> str:
    """The text of a cell; ValueError naming the row for anything else, and for an empty one."""
    values = row.parsed()
    if column not in values:
        raise DinaError(f"{row.where}: no column {column!r}; columns: {', '.join(map(str, values))}")
    value = values[column]
    if not isinstance(value, str) or not value.strip():
        raise DinaError(f"{row.where}: {column} is {value!r:.60}; give the text of a prompt")
    return value


def _named_rows(table: Path, image: str, column: str | None) -> Iterator[Row]:
    """Rows that say how their pictures are called; the bytes of pictures in a Parquet file are not read for it."""
    if table.suffix.lower() != ".parquet":
        for row in scan_rows(table):
            if row.fault is None:
                _check_image_column(row.where, row.values, image)
            yield row
        return
    schema = _schema(table)
    _check_image_column(str(table), schema.names, image)
    wanted = [*_name_column(schema, image), *([column] if column is not None and column in schema.names else [])]
    yield from parquet_rows(table, wanted)


def _schema(table: Path) -> pa.Schema:
    try:
        return pq.read_schema(table)
    except (pa.ArrowException, OSError) as error:
        raise DinaError(f"{table}: not a Parquet file ({' '.join(str(error).split()):.200})") from error


def _name_column(schema: pa.Schema, image: str) -> list[str]:
    kind = schema.field(image).type
    if pa.types.is_struct(kind):
        return [f"{image}.path"] if kind.get_field_index("path") >= 0 else []
    return [] if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else [image]


def _check_image_column(where: str, columns: Iterable[str], image: str) -> None:
    if image not in columns:
        columns = ", ".join(map(str, columns))
        raise DinaError(f"{where}: no image; give its path in a column {image!r} (columns: {columns})")


def _picture(row: Row, image: str) -> Picture:
    if row.fault is not None:
        return Picture(row.place, None, f"{row.where}: {row.fault}")
    value = row.values[image]
    name = _name(row, value)
    content = value.get("bytes") or value.get("path") if isinstance(value, Mapping) else value
    if isinstance(content, bytes) and content:
        return Picture(name, content)
    if isinstance(content, str) and content.strip():
        return Picture(name, row.path.parent / content)
    given = "nothing" if _is_absent(content) else f"{content!r:.60}"
    return Picture(name, None, f"no image: the cell holds {given}; accepted: a path, or the bytes of an image file")


def _name(row: Row, value: object) -> str:
    """How a picture is called in the output: by its path, or by its place in the table where it has none."""
    if isinstance(value, Mapping):
        value = value.get("path")
    if isinstance(value, str) and value.strip():
        return printable(value) if len(value) <= _LONGEST_NAME else shown(value)
    return row.place


def _is_absent(value: object) -> bool:
    return not value or (isinstance(value, float) and math.isnan(value))
