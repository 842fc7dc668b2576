"""Prompts that generators are aligned and measured with: text files, and the published sets in their published files.

| set | file | prompts | groups |
|---|---|---|---|
| PartiPrompts | `PartiPrompts.tsv` | `Prompt` | `Category`, `Challenge` |
| DrawBench | a CSV file | `Prompts` | `Category` |
| T2I-CompBench++ | a folder of `color_val.txt`, `numeracy_val.txt`, ... | a line each | the file's name |
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from dina_lrm.data.sources.tables import FORMATS, Row, scan_rows
from dina_lrm.pictures.names import shown
from dina_lrm.typed import DinaError

Found = TypeVar("Found")
PROMPT_COLUMNS: Final = ("Prompt", "Prompts", "prompt")
GROUP_COLUMNS: Final = ("Category", "Challenge", "category", "challenge")
_COMPOSITIONAL: Final = "_val.txt"
"""How the names of T2I-CompBench's test files end; those of its subsets (`color_val_seen.txt`) do not."""
_SUFFIXES: Final = (".txt", ".tsv", ".csv", ".md", ".json", ".jsonl", ".parquet")
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


def read_prompt_set(path: Path) -> PromptSet:
    """The prompts of a table (by its suffix), of a folder of T2I-CompBench, or of a text file with a prompt a line.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: an empty prompt, a table without a column of prompts or with a row that cannot be read, each named
            by file and row; a file without prompts.
    """
    check_prompts_file(path)
    if path.is_dir():
        return _compositional(path)
    if path.suffix.lower() in FORMATS:
        return _table(path)
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


def _table(path: Path) -> PromptSet:
    rows = _some(path, list(scan_rows(path)))
    first = rows[0].parsed()
    column = next((name for name in PROMPT_COLUMNS if name in first), None)
    if column is None:
        raise DinaError(f"{path}: the columns are {', '.join(first)}; accepted: one of {', '.join(PROMPT_COLUMNS)}")
    groups = [name for name in GROUP_COLUMNS if name in first]
    prompts = tuple(_prompt(row.where, _cell(row, column)) for row in rows)
    belongs: dict[str, tuple[str, ...]] = {name: tuple(_cell(row, name) for row in rows) for name in groups}
    return PromptSet(path.stem, prompts, belongs, tuple(row.where for row in rows))


def _cell(row: Row, column: str) -> str:
    values = row.parsed()
    value = values.get(column)
    if not isinstance(value, str):
        raise DinaError(f"{row.where}: {column} is {value!r}; accepted: text")
    return value.strip()


def _prompt(where: str, text: str) -> str:
    if not text.strip():
        raise DinaError(f"{where} is empty; accepted: a prompt")
    return text.strip()


def _some(path: Path, found: list[Found]) -> list[Found]:
    if not found:
        raise DinaError(f"{path}: holds no prompts; accepted: at least one")
    return found
