"""Results of a long benchmark, added to seed by seed: what a kill costs is the seed that was being measured."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
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

    def seeds(self, ways: Collection[str]) -> list[int]:
        """The seeds with which all of these ways were measured."""
        found = sorted({int(row["seed"]) for row in self.rows})
        return [seed for seed in found if all(self.has(seed, way) for way in ways)]

    def has(self, seed: int, way: str) -> bool:
        """Whether a way was measured with a seed."""
        return any((row["seed"], row["way"]) == (seed, way) for row in self.rows)

    def row(self, seed: int, way: str) -> dict[str, Any]:
        """What was measured of a way with a seed."""
        return next(row for row in self.rows if (row["seed"], row["way"]) == (seed, way))

    def add(self, seed: int, way: str, found: Mapping[str, Any]) -> None:
        """Add a row; the file is whole whenever this process ends."""
        self._all.append({"asked": self._asked, "seed": seed, "way": way, **found})
        if self._path is not None:
            write_text(self._path, "".join(json.dumps(row) + "\n" for row in self._all))

    def of(self, seeds: Iterable[int], way: str, name: str) -> list[Any]:
        """A value of each of these seeds."""
        return [self.row(seed, way)[name] for seed in seeds]


def ways_of_file(path: Path) -> list[dict[str, Any]]:
    """How the rows of a file were measured."""
    found: list[dict[str, Any]] = []
    for line in path.read_text().splitlines():
        asked = json.loads(line)["asked"]
        found += [] if asked in found else [asked]
    return found
