"""Results of a long benchmark, added to seed by seed: what a kill costs is the seed that was being measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from dina_lrm.runs.files import write_text


@final
class Kept:
    """Rows of a file of JSON lines that were measured in the same way (`asked`), and those that are added.

    Rows of other ways stay in the file. Without a path they are in memory alone.
    """

    def __init__(self, path: Path | None, asked: Mapping[str, Any]) -> None:
        self._path, self._asked = path, dict(asked)
        lines = path.read_text().splitlines() if path is not None and path.is_file() else []
        self._all: list[dict[str, Any]] = [json.loads(line) for line in lines]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was measured in this way, in order."""
        return [row for row in self._all if row["asked"] == self._asked]

    def has(self, seed: int, way: str) -> bool:
        """Whether a way was measured with a seed."""
        return any((row["seed"], row["way"]) == (seed, way) for row in self.rows)

    def add(self, seed: int, way: str, found: Mapping[str, Any]) -> None:
        """Add a row; the file is whole whenever this process ends."""
        self._all.append({"asked": self._asked, "seed": seed, "way": way, **found})
        if self._path is not None:
            write_text(self._path, "".join(json.dumps(row) + "\n" for row in self._all))

    def of(self, way: str, name: str) -> list[Any]:
        """A value of each seed, in the order of the seeds."""
        rows = sorted((row for row in self.rows if row["way"] == way), key=lambda row: int(row["seed"]))
        return [row[name] for row in rows]
