"""Rows to be scored: images with their prompts, from a folder, a table or a single file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from dina_lrm.data.sources.called import column_called
from dina_lrm.pictures.files import SUFFIXES
from dina_lrm.pictures.folders import PictureFolder
from dina_lrm.pictures.names import printable, shown
from dina_lrm.rewards.scoring.pictures import Pictures, folder_pictures, is_table, table_columns, table_pictures
from dina_lrm.rewards.scoring.prompts import Matched, matched_prompts
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class ScoreRow:
    """An image and a prompt; `image` is its name in the output: as the table writes it, or relative to the folder.

    `source` is its path or the bytes of its file; where there is neither, `fault` says why.
    """

    image: str
    prompt: str
    source: Path | bytes | None
    fault: str | None = None


@final
class ScoreRows:
    """Rows to score, read anew each time that they are gone through: pictures in a table are never all in memory.

    `scan` has what was found in a folder and left out; `note` is something about the matching that is to be said.
    """

    def __init__(self, pictures: Pictures, matched: Matched) -> None:
        self._pictures, self._matched = pictures, matched
        self.scan: PictureFolder = pictures.scan
        self.note = matched.note
        self._count = sum(map(len, matched.prompts)) + len(matched.absent)

    @property
    def distinct_prompts(self) -> int:
        """How many different prompts there are."""
        asked = (prompt for prompts in self._matched.prompts for prompt in prompts)
        return len({*asked, *(prompt for _, prompt in self._matched.absent)})

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ScoreRow]:
        for picture, prompts in zip(self._pictures.read(), self._matched.prompts, strict=True):
            for prompt in prompts:
                yield ScoreRow(picture.name, prompt, picture.source, picture.fault)
        where = self._pictures.where
        for name, prompt in self._matched.absent:
            if where.is_dir():
                yield ScoreRow(printable(name), prompt, where / name)
            else:
                yield ScoreRow(printable(name), prompt, None, f"no such image in {shown(where)}")


def read_score_rows(images: Path, prompts: str | None = None, columns: Mapping[str, str] | None = None) -> ScoreRows:
    """Rows to score, in the order of the table or sorted by name.

    `images` is a folder (searched below too), an image file, or a table (CSV, JSONL, JSON, Parquet, WebDataset) with a
    column of pictures (`sources.called`). `prompts` is one text for all, or a text file with one prompt a line (a line
    for each image, or one for all), or a table with columns of pictures and prompts, in which an image may have several
    rows; for a table of images it may name the column that holds the prompts (by default one that is called so).
    `columns` says which columns of tables hold pictures and prompts where their names do not: {"image": "photo",
    "prompt": "title"}.

    Raises:
        FileNotFoundError: no such folder or file.
        ValueError: nothing to score, a row without a prompt, numbers of images and prompts that differ, or lines that
            could belong to images in two ways.
    """
    if not images.exists():
        raise FileNotFoundError(f"{shown(images)}: no such folder or file")
    if columns is not None and not (is_table(images) or (prompts is not None and is_table(Path(prompts)))):
        raise DinaError(f"columns {_written(columns)}: {shown(images)} is no table; accepted with a table")
    pictures = _table(images, prompts, columns) if is_table(images) else folder_pictures(images)
    if not pictures.names:
        left_out = f" ({pictures.scan.told()})" if pictures.scan.left_out else ""
        accepted = f"a table with rows, or files {' '.join(SUFFIXES)}"
        raise DinaError(f"{shown(images)}: holds no images; accepted: {accepted}{left_out}")
    if pictures.texts is not None:
        return ScoreRows(pictures, Matched([(text,) for text in pictures.texts], note=pictures.note))
    return ScoreRows(pictures, matched_prompts(pictures, prompts, columns))


def _written(columns: Mapping[str, str]) -> str:
    return ",".join(f"{name}={column}" for name, column in columns.items())


def _table(table: Path, prompts: str | None, mapped: Mapping[str, str] | None) -> Pictures:
    columns = table_columns(table)
    if not columns:
        raise DinaError(f"{table}: holds no rows; accepted: a table with a column image")
    image = column_called(str(table), columns, "image", mapped)
    if prompts is None or prompts in columns:
        return table_pictures(table, image, prompts or column_called(str(table), columns, "prompt", mapped))
    if not Path(prompts).is_file() and not any(letter.isspace() for letter in prompts):
        # A misspelled column must not become the prompt of every image.
        raise DinaError(f"{table}: no column {prompts!r}; columns: {', '.join(columns)} (a prompt text holds a space)")
    return table_pictures(table, image, None)
