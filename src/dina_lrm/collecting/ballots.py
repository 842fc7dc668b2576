"""The file of votes: comparisons in our own format, written whole at each vote, so that a kill costs none.

What lies in it already, from an earlier session or from somewhere else, stays as it is, byte by byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

from dina_lrm.data.comparison import Comparison
from dina_lrm.data.sources import read_comparisons
from dina_lrm.runs.files import write_text
from dina_lrm.typed import DinaError

SOURCE: Final = "dina-lrm vote"
"""What a vote says of where it is from."""


@final
class Ballots:
    """A file of comparisons that grows by votes; `earlier` are the comparisons that it held before.

    Raises ValueError for a file that holds anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.earlier: list[Comparison] = []
        self._written: str | None = None
        self._text = ""
        if path.exists():
            self.earlier = list(read_comparisons(path)) if path.stat().st_size else []
            self._written = self._read()
            whole = not self._written or self._written.endswith("\n")
            self._text = self._written if whole else self._written + "\n"

    def add(self, prompt: str, image_a: Path, image_b: Path, preference: float, number: int) -> None:
        """Save a vote; it is on disk when this returns. `preference` is P(image_a is preferred)."""
        vote: Mapping[str, Any] = {
            "prompt": prompt,
            "image_a": self._name(image_a),
            "image_b": self._name(image_b),
            "preference": preference,
            "votes": 1,
            "source": SOURCE,
            "pair_id": f"vote-{number}",
        }
        self._write(self._text + json.dumps(vote, ensure_ascii=False) + "\n")

    def take_back(self) -> bool:
        """Remove the last line where it is a vote of ours; returns whether it was."""
        kept, _, last = self._text[:-1].rpartition("\n")
        if not last.strip() or json.loads(last).get("source") != SOURCE:
            return False
        self._write(kept + "\n" if kept else "")
        return True

    def _write(self, text: str) -> None:
        if (self._read() if self.path.exists() else None) != self._written:
            raise DinaError(f"{self.path}: was changed while votes are collected; nothing was written over")
        self.path.absolute().parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, text)
        self._text = self._written = text

    def _read(self) -> str:
        """The file as text, its line ends as they are."""
        return self.path.read_bytes().decode("utf-8")

    def _name(self, image: Path) -> str:
        """How the file names an image: relative to its own folder, so that both may be moved together."""
        return Path(os.path.relpath(image.resolve(), self.path.resolve().parent)).as_posix()
