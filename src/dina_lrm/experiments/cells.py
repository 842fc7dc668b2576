"""A cell of a study: one variant with one seed, as a small JSON file that is complete or absent.

What a cell holds is said by its kind: `ablations.cells` has trained reward models, `alignment.cells` aligned
generators.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.json_files import read_record
from dina_lrm.typed import DinaError, to_plain


@dataclass(frozen=True)
class StudyCell:
    """What every kind of cell is called by; subclasses add what was found."""

    variant: str
    seed: int
    indent: ClassVar[int | None] = None
    """Spaces by which its file is indented; None writes it in a line."""

    @property
    def name(self) -> str:
        """Its file's name, without the suffix."""
        return cell_name(self.variant, self.seed)

    def save(self, folder: Path) -> None:
        """Write the cell into `folder`, whole."""
        folder.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(folder / f"{self.name}.json") as temporary:
            temporary.write_text(json.dumps(to_plain(self), indent=self.indent, allow_nan=False) + "\n", "utf-8")


CellT = TypeVar("CellT", bound=StudyCell)


def cell_name(variant: str, seed: int) -> str:
    """How a cell is called."""
    return f"{variant}.seed-{seed}"


def load_cells(kind: type[CellT], folder: Path) -> dict[str, CellT]:
    """Every cell of a folder by its name. Raises ValueError naming a file that is no cell of that kind."""
    cells = {}
    for path in sorted(folder.glob("*.seed-*.json")):
        try:
            cells[path.stem] = read_record(kind, path)
        except (ValueError, TypeError) as error:
            raise DinaError(f"{path}: not a cell of this version ({error}); remove it to train it again") from error
    return cells
