"""Prompts that generators are aligned and measured with: text files, and the published sets in their published files.

| set | file | prompts | groups |
|---|---|---|---|
| PartiPrompts | `PartiPrompts.tsv` | `Prompt` | `Category`, `Challenge` |
| DrawBench | a CSV file, or HPDv2's `drawbench.json` | `Prompts`, `prompts` | `Category`, `category` |
| GenEval 2 | `geneval2_data.jsonl` | `prompt` | |
| UniGenBench++ | `test_prompts_en.csv`, ... | `prompt_en`, `prompt_zh` | |
| OneIG | `OneIG-Bench.csv`, `OneIG-Bench-ZH.csv` | `prompt_en`, `prompt_cn` | `category`, `type`, `class` |
| HPDv2's benchmark | `anime.json`, ...: a JSON list of texts | each | |
| T2I-CompBench++ | a folder of `color_val.txt`, `numeracy_val.txt`, ... | a line each | the file's name |
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from dina_lrm.data.sources.called import column_called
from dina_lrm.data.sources.tables import FORMATS, Row, scan_rows
from dina_lrm.pictures.names import shown
from dina_lrm.runs.json_files import read_json
from dina_lrm.typed import DinaError

_log = logging.getLogger(__name__)
Found = TypeVar("Found")
GROUP_COLUMNS: Final = ("category", "challenge", "class", "type")
"""Columns that group prompts, in any case."""
_COMPOSITIONAL: Final = "_val.txt"
"""How the names of T2I-CompBench's test files end; those of its subsets (`color_val_seen.txt`) do not."""
_SUFFIXES: Final = (".txt", ".tsv", ".csv", ".md", ".json", ".jsonl", ".parquet")
_BEGINNING: Final = 1024
_LIKE_A_PATH: Final = re.compile(r"\S*[/\\]\S*|~\S*|\S+\.[A-Za-z][A-Za-z0-9]{0,7}")
_NOT_IN_LINES: Final = {"\r": "carriage return", "\0": "zero byte, as UTF-16 does"}


@dataclass(frozen=True)
class PromptSet:
    """Prompts in their order, none empty; `groups` says for each grouping where each one belongs.

    `places` are their files and lines, for those who refuse one; () for prompts that are in no file.
    """

    name: str
    prompts: tuple[str, ...]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    places: tuple[str, ...] = field(default=(), compare=False)

    def take(self, rows: list[int]) -> PromptSet:
        """The prompts of those rows."""
        groups = {name: tuple(values[row] for row in rows) for name, values in self.groups.items()}
        places = tuple(self.places[row] for row in rows) if self.places else ()
        return PromptSet(self.name, tuple(self.prompts[row] for row in rows), groups, places)


def names_a_file(text: str) -> bool:
    """Whether a word given for prompts stands for a file or folder: one is there, or it is called like one.

    A mistyped name of a file is no prompt; a prompt that ends like one is given in a file.
    """
    if os.path.exists(text) or text.lower().endswith(_SUFFIXES):
        return True
    return bool(_LIKE_A_PATH.fullmatch(text))


def read_prompt_set(path: Path, columns: Mapping[str, str] | None = None) -> PromptSet:
    """The prompts of a table (by its suffix), of a folder of T2I-CompBench, or of a text file with a prompt a line.

    A table has a column of prompts that is called so (`sources.called`), or the one that `columns` maps to "prompt"; a
    JSON file may be a list of texts.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: an empty prompt, a table without a column of prompts or with a row that cannot be read, each named
            by file and row; a file without prompts.
    """
    check_prompts_file(path)
    is_table = path.is_file() and path.suffix.lower() in FORMATS
    if columns is not None and not is_table:
        raise DinaError(f"columns prompt={columns.get('prompt')}: {shown(path)} is no table; accepted with a table")
    if path.is_dir():
        return _compositional(path)
    if is_table:
        texts = _texts(path) if columns is None else None
        return _table(path, columns) if texts is None else texts
    found = read_prompt_lines(path)
    return PromptSet(path.stem, tuple(found.values()), places=tuple(found))


def check_prompts_file(path: Path) -> None:
    """Raise FileNotFoundError where there is nothing of that name."""
    if not os.path.exists(path):
        accepted = "a text file, a table, or a folder of T2I-CompBench"
        raise FileNotFoundError(f"prompts {shown(path)}: there is no such file; accepted: {accepted}")


def read_prompt_lines(path: Path) -> dict[str, str]:
    """The prompts of a text file by their places, one a line: at least one, none of them empty.

    Lines end at a line feed, with or without a carriage return; whatever else Unicode counts as the end of a line is
    part of the prompt. A byte-order mark is not. Raises ValueError naming file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DinaError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    lines = text.removesuffix("\n").split("\n") if text else []
    places = [f"{path}, line {number}" for number in range(1, len(lines) + 1)]
    return {place: _line(place, line) for place, line in zip(_some(path, places), lines, strict=True)}


def _line(where: str, line: str) -> str:
    line = line.removesuffix("\r")
    for letter, name in _NOT_IN_LINES.items():
        if letter in line:
            raise DinaError(f"{where} holds a {name}; accepted: UTF-8 text with a prompt a line")
    return _prompt(where, line)


def _compositional(folder: Path) -> PromptSet:
    files = sorted(folder.glob(f"*{_COMPOSITIONAL}"))
    if not files:
        raise DinaError(f"{folder}: holds no *{_COMPOSITIONAL}, as the folder of T2I-CompBench's prompts does")
    found = [
        (*item, file.name.removesuffix(_COMPOSITIONAL)) for file in files for item in read_prompt_lines(file).items()
    ]
    places, lines, names = zip(*found, strict=True)
    return PromptSet(folder.name, lines, {"Category": names}, places)


def _table(path: Path, columns: Mapping[str, str] | None) -> PromptSet:
    rows = _some(path, list(scan_rows(path)))
    first = rows[0].parsed()
    column = column_called(str(path), first, "prompt", columns)
    if column.casefold() not in ("prompt", "prompts"):
        _log.info("%s: prompts are read of the column %s", path, column)
    groups = [name for name in first if str(name).casefold() in GROUP_COLUMNS]
    prompts = tuple(_prompt(row.where, _cell(row, column)) for row in rows)
    belongs: dict[str, tuple[str, ...]] = {name: tuple(_group(row, name) for row in rows) for name in groups}
    return PromptSet(path.stem, prompts, belongs, tuple(row.where for row in rows))


def _texts(path: Path) -> PromptSet | None:
    """The prompts of a JSON list of texts; None for a file that begins as another table does."""
    if path.suffix.lower() != ".json":
        return None
    with path.open("rb") as file:
        begins = file.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf").split()
    if not b"".join(begins).startswith(b'["'):
        return None
    found = _some(path, list(read_json(path)))
    places = [f"{path}, row {number}" for number in range(1, len(found) + 1)]
    for where, text in zip(places, found, strict=True):
        if not isinstance(text, str):
            raise DinaError(f"{where}: holds {text!r:.60} in a list of texts; accepted: a text, as the others are")
    return PromptSet(path.stem, tuple(map(_prompt, places, found)), places=tuple(places))


def _cell(row: Row, column: str) -> str:
    values = row.parsed()
    value = values.get(column)
    if not isinstance(value, str):
        raise DinaError(f"{row.where}: {column} is {value!r}; accepted: text")
    return value.strip()


def _group(row: Row, column: str) -> str:
    value = row.parsed().get(column)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _cell(row, column)


def _prompt(where: str, text: str) -> str:
    if not text.strip():
        raise DinaError(f"{where} is empty; accepted: a prompt")
    return text.strip()


def _some(path: Path, found: list[Found]) -> list[Found]:
    if not found:
        raise DinaError(f"{path}: holds no prompts; accepted: at least one")
    return found
