"""A cell of the alignment study: one variant aligned with one seed, what was seen of it, and the truth of each picture.

The truth is kept for each picture of each look, so that a gain is taken on the same prompts and seeds as the pictures
of the base model, and two variants are compared on them too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from dina_lrm.alignment.monitor.alarm import History
from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.alignment.monitor.records import Record, history_of, read_records
from dina_lrm.experiments.cells import cell_name
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.runs.json_files import read_record
from dina_lrm.synthetic.captions import true_values
from dina_lrm.typed import to_plain

TRUTH: Final = ("utility", "alignment", "quality")
_DIGITS: Final = 4


@dataclass(frozen=True)
class AlignedCell:
    """One variant with one seed. `truth` holds a row a look of each true value, one number a picture."""

    variant: str
    seed: int
    config: dict[str, Any]
    records: tuple[Record, ...]
    truth: dict[str, tuple[tuple[float, ...], ...]]
    seconds: float
    environment: dict[str, str]

    @property
    def name(self) -> str:
        """Its file's name, without the suffix."""
        return cell_name(self.variant, self.seed)

    @property
    def history(self) -> History:
        """As the alarm and the plots read it."""
        return history_of(self.records)

    def steps(self) -> list[int]:
        """At which it was looked at."""
        return [record.step for record in self.records]

    def values(self, name: str, look: int) -> Float[np.ndarray, " pictures"]:
        """A true value of the pictures of a look, counted from the first or, below 0, from the last."""
        return np.array(self.truth[name][look])

    def save(self, folder: Path) -> None:
        """Write the cell into `folder`, whole."""
        folder.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(folder / f"{self.name}.json") as temporary:
            temporary.write_text(json.dumps(to_plain(self), allow_nan=False) + "\n", encoding="utf-8")


def cell_of_run(
    folder: Path, variant: str, seed: int, config: dict[str, Any], seconds: float, environment: dict[str, str]
) -> AlignedCell:
    """What a finished run's folder holds."""
    records = read_records(folder)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in TRUTH}
    for record in records:
        with np.load(folder / SAMPLES / f"step-{record.step}.npz") as found:
            values = true_values(found["images"], [str(prompt) for prompt in found["prompts"]])
        for name in TRUTH:
            rows[name].append(tuple(round(float(value), _DIGITS) for value in values[name]))
    truth = {name: tuple(looks) for name, looks in rows.items()}
    return AlignedCell(variant, seed, config, tuple(records), truth, round(seconds, 1), environment)


def load_aligned_cells(folder: Path) -> dict[str, AlignedCell]:
    """Every cell of a folder by its name. Raises ValueError naming a file that is no cell."""
    cells = {}
    for path in sorted(folder.glob("*.seed-*.json")):
        try:
            cells[path.stem] = read_record(AlignedCell, path)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: not a cell of this version ({error}); remove it to train it again") from error
    return cells
