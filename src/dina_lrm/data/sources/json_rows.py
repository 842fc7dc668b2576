"""Rows of JSONL files and of JSON lists: both by one strict parser, one row in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final, TextIO

from dina_lrm.data.sources.rows import MAX_ROW, Row, json_row
from dina_lrm.typed import DinaError

_CHUNK: Final = 2**17
_END_OF_FILE: Final = 16
"""A fault closer than this to the end of what was read may be a text that goes on: the longest is an escaped letter."""


def jsonl_rows(path: Path) -> Iterator[Row]:
    """One object a line; blank lines are left out."""
    with path.open("rb") as file:
        for number in count(1):
            line = file.readline(MAX_ROW + 1)
            if not line:
                return
            place = f"line {number}"
            if len(line) > MAX_ROW:
                yield Row(path, place, {}, f"longer than {MAX_ROW} bytes, and left unread from here on")
                return
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield json_row(path, place, text)


def json_rows(path: Path) -> Iterator[Row]:
    """The objects of a list: published lists have a million."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = _List(path, file)
        for number in count(1):
            try:
                item = text.next_item()
            except ValueError as error:
                yield Row(path, f"row {number}", {}, f"not JSON from here on ({error})")
                return
            if item is None:
                return
            yield json_row(path, f"row {number}", item)


class _List:
    """The texts of a JSON list's items, one after the other; raises ValueError where the file holds anything else."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decoder, self._first = json.JSONDecoder(), True
        start = self._next_letter()
        if start != "[":
            found = {"": "nothing", "{": "an object"}.get(start, f"text that begins with {start!r}")
            raise DinaError(
                f"{path}: holds {found}; expected a JSON list of objects (with an object on each line, call it .jsonl)"
            )
        self._at += 1

    def next_item(self) -> str | None:
        """The text of the next item, None after the last."""
        if self._next_letter() == "]":
            self._at += 1
            if self._next_letter():
                raise DinaError("text after the list")
            return None
        if not self._first:
            self._expect(",")
            self._next_letter()
        self._first = False
        end = self._item_end()
        item, self._at = self._text[self._at : end], end
        return item

    def _expect(self, letter: str) -> None:
        found = self._next_letter()
        if found != letter:
            raise DinaError(f"{found!r} in the place of {letter!r}" if found else "the file ends within the list")
        self._at += 1

    def _next_letter(self) -> str:
        """The next letter that is not blank, which stays unread; nothing at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._read(_CHUNK):
                return ""

    def _item_end(self) -> int:
        """Where the item ends that begins here, found by a lenient parse that need not see the whole file."""
        while True:
            waiting = len(self._text) - self._at
            try:
                length = self._decoder.raw_decode(self._text, self._at)[1] - self._at
                if length < waiting or not self._read(_CHUNK):  # a number may go on in what is not read yet
                    return self._at + length
            except RecursionError as error:
                raise DinaError("nested too deep; accepted: plain records") from error
            except json.JSONDecodeError as error:
                goes_on = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _END_OF_FILE
                if not goes_on or waiting > MAX_ROW or not self._read(max(_CHUNK, waiting)):
                    raise DinaError(error.msg if waiting <= MAX_ROW else f"a row of over {MAX_ROW} letters") from error

    def _read(self, letters: int) -> bool:
        """Add to the text, forgetting what was passed; False at the end of the file."""
        more = "" if self._ended else self._file.read(letters)
        self._ended = not more
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
