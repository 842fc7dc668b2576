"""A cell of the alignment study: one variant aligned with one seed, what was seen of it, and the truth of each picture.

The truth is kept for each picture of each look, so that a gain is taken on the same prompts and seeds as the pictures
of the base model, and two variants are compared on them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from dina_lrm.alignment.monitor.alarm import History
from dina_lrm.alignment.monitor.looks import SAMPLES
from dina_lrm.alignment.monitor.records import Record, history_of, read_records
from dina_lrm.experiments.cells import StudyCell
from dina_lrm.pictures.measures import diversity
from dina_lrm.synthetic.captions import true_values

TRUTH: Final = ("utility", "alignment", "quality")
_DIGITS: Final = 4


@dataclass(frozen=True)
class AlignedCell(StudyCell):
    """One variant with one seed. `truth` holds a row a look of each true value, one number a picture."""

    config: dict[str, Any]
    records: tuple[Record, ...]
    truth: dict[str, tuple[tuple[float, ...], ...]]
    seconds: float
    environment: dict[str, str]
    spread: tuple[float, ...] = ()
    """How far the pictures of each look lie apart (`diversity` of all as if of one prompt); earlier cells have none."""

    @property
    def history(self) -> History:
        """Return the history as the alarm and the plots read it."""
        return history_of(self.records)

    def steps(self) -> list[int]:
        """At which it was looked at."""
        return [record.step for record in self.records]

    def values(self, name: str, look: int) -> Float[np.ndarray, " pictures"]:
        """A true value of the pictures of a look, counted from the first or, below 0, from the last."""
        return np.array(self.truth[name][look])


def cell_of_run(
    folder: Path, variant: str, seed: int, config: dict[str, Any], seconds: float, environment: dict[str, str]
) -> AlignedCell:
    """What a finished run's folder holds."""
    records = read_records(folder)
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in TRUTH}
    spread = []
    for record in records:
        with np.load(folder / SAMPLES / f"step-{record.step}.npz") as found:
            values = true_values(found["images"], [str(prompt) for prompt in found["prompts"]])
            spread.append(round(diversity(found["images"], [""] * len(found["images"]))[""], _DIGITS))
        for name in TRUTH:
            rows[name].append(tuple(round(float(value), _DIGITS) for value in values[name]))
    truth = {name: tuple(looks) for name, looks in rows.items()}
    return AlignedCell(variant, seed, config, tuple(records), truth, round(seconds, 1), environment, tuple(spread))
