"""The table of scores as it grows: appended batch by batch, taken up again where it stopped.

Beside `scores.csv` lies `scores.csv.settings.json`: what made the scores, so that others are never mixed in. JSONL
alone can grow: the rows of other tables gather in `scores.csv.partial.jsonl` until all are scored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, final

from dina_lrm.pictures.names import shown
from dina_lrm.rewards.scoring.formats import FORMATS, ScoredRow, jsonl_text, read_jsonl
from dina_lrm.runs.files import append_text, replaced_when_complete, write_json, write_text
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.places import nearest_existing
from dina_lrm.typed import DinaError

_SETTINGS: Final = ".settings.json"
_PARTIAL: Final = ".partial.jsonl"
_LATER: Final = ("generator",)
"""Settings that earlier versions did not keep: nor did their rows keep a content, so that all are scored again."""


def check_table(path: Path) -> None:
    """Refuse a table that cannot be written, before anything is computed: ValueError says why."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DinaError(f"{shown(path)}: unknown format {path.suffix!r}; accepted: {', '.join(FORMATS)}")
    if path.exists() and not path.is_file():
        raise DinaError(f"{shown(path)}: is no file; accepted: a new name, or a table of scores to go on with")
    nearest = nearest_existing(path.absolute().parent)
    if not nearest.is_dir():
        raise DinaError(f"{shown(path)}: {nearest} is a file; accepted: a name in a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DinaError(f"{shown(path)}: nothing can be written in {nearest}; accepted: a name in a folder of yours")


@final
class ScoreLog:
    """Scores in a table (.csv, .jsonl or .parquet) that comes to be; one process writes it (`one_writer`).

    `rows` are those that it holds; nothing is changed before `begin` says which of them stay.

    Raises:
        ValueError: an unknown suffix; a file that holds something else, or scores made with other settings.
        FileExistsError: a file of which nothing says what made it.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        check_table(path)
        self.path = path
        suffix = path.suffix.lower()
        self._format = FORMATS[suffix]
        self._growing = path if suffix == ".jsonl" else path.with_name(path.name + _PARTIAL)
        self._settings = path.with_name(path.name + _SETTINGS)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._made_by = dict(settings)
        self._check_settings(self._made_by)
        self.rows = self._before()

    @classmethod
    def begin_anew_where_other(cls, path: Path, settings: Mapping[str, Any]) -> bool:
        """Take away a table of ours that was made with other settings; returns whether there was one.

        A table of which nothing says what made it stays, and is refused by whoever opens it.
        """
        beside = path.with_name(path.name + _SETTINGS)
        if not beside.is_file() or _changed(read_json_object(beside), settings) == []:
            return False
        for made in (path, path.with_name(path.name + _PARTIAL), beside):
            made.unlink(missing_ok=True)
        return True

    def begin(self, rows: Iterable[ScoredRow]) -> None:
        """Keep these rows, and no others."""
        write_json(self._settings, self._made_by)
        write_text(self._growing, jsonl_text(rows))

    def append(self, rows: Iterable[ScoredRow]) -> None:
        """Add rows; they are on disk when this returns."""
        append_text(self._growing, jsonl_text(rows))

    def finish(self) -> None:
        """Everything is scored: write the table, where it is another file than the one that grew."""
        if self._growing != self.path:
            with replaced_when_complete(self.path) as temporary:
                self._format.write(temporary, read_jsonl(self._growing))
            self._growing.unlink()

    def _before(self) -> list[ScoredRow]:
        try:
            if self._growing.exists():
                return read_jsonl(self._growing)
            return self._format.read(self.path) if self.path.exists() else []
        except ValueError as error:
            raise DinaError(f"{shown(self.path)}: not a table of scores ({error}); give another file") from error

    def _check_settings(self, settings: dict[str, Any]) -> None:
        if not (self.path.exists() or self._growing.exists()):
            write_json(self._settings, settings)
            return
        if not self._settings.exists():
            raise FileExistsError(
                f"{shown(self.path)} exists, and no {self._settings.name} says what made it; give another file"
            )
        changed = _changed(read_json_object(self._settings), settings)
        if changed:
            told = "; ".join(f"{name} was {before!r}, now {now!r}" for name, before, now in changed)
            raise DinaError(f"{shown(self.path)} holds scores made with other settings: {told}. Give another file")


def _changed(before: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name of each setting that differs, what it was, and what it is."""
    now = json.loads(json.dumps(settings))
    compared = [name for name in {**before, **now} if name in before or name not in _LATER]
    return [(name, before.get(name), now.get(name)) for name in compared if before.get(name) != now.get(name)]
