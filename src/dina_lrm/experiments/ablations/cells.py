"""A cell of an ablation: one variant trained with one seed, and which test pairs it ranks right at every reading.

It keeps one bit for each pair and reading, so that two variants can be compared pair by pair long after their weights
are gone.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from dina_lrm.experiments.cells import StudyCell
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class CellReading:
    """What a variant reaches on a set at one reading: its win probabilities against labels and against the truth."""

    right: str
    """One bit for each pair in base64: whether it is ranked as its label says."""
    accuracy: float
    ece: float
    brier: float
    log_score: float
    truth_ece: float
    truth_kl: float


@dataclass(frozen=True)
class CellSet:
    """A test set as a cell saw it; pairs of one prompt stand together, `per_prompt` to each."""

    pairs: int
    per_prompt: int
    ceiling: float
    fingerprint: str
    """Hash of the pictures, prompts and labels (`SyntheticComparisons.fingerprint`)."""
    readings: dict[str, CellReading]


@dataclass(frozen=True)
class CellUncertainty:
    """How much decisions at a noise level depend on the noise that was drawn (Table 4)."""

    level: float
    vr_common: float
    vr_independent: float
    margin: float
    variance: float


@dataclass(frozen=True)
class Cell(StudyCell):
    """One variant with one seed."""

    steps: int
    prompts: int
    config: dict[str, Any]
    parameters: int
    seconds: float
    pairs_per_second: float
    sets: dict[str, CellSet]
    faults: dict[str, float]
    """Accuracy on the diagnostic set by kind of fault, at the variant's own level."""
    environment: dict[str, str]
    uncertainty: tuple[CellUncertainty, ...] = ()
    """In domain, for variants that are read with several draws of noise."""
    indent: ClassVar[int | None] = 1


def packed(right: Bool[np.ndarray, " pairs"]) -> str:
    """One bit for each pair, in base64."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpacked(text: str, pairs: int) -> Float[np.ndarray, " pairs"]:
    """The inverse of `packed`, as 0 and 1."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text), dtype=np.uint8))
    if not pairs <= bits.size < pairs + 8:
        raise DinaError(f"{bits.size} bits for {pairs} pairs")
    return bits[:pairs].astype(np.float64)
