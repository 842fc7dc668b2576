"""Options of `dina-lrm calibrate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import WritesToOut
from dina_lrm.console.options import EncoderOptions, ModelOptions
from dina_lrm.console.tables import ReadsTables
from dina_lrm.runs.places import check_new_folder


@dataclass
class Arguments(WritesToOut, EncoderOptions, ModelOptions, ReadsTables, SaysBefore):
    """Fit a temperature and store it with a copy of the model.

    Margins are divided by it before they become win probabilities; scores and rankings stay as they are. Give pairs
    that the model was neither trained nor will be tested on.

    Example:
        dina-lrm calibrate synthetic --on synthetic:validation --out calibrated
    """

    model: Positional[str]
    """The reward model: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """Folder of the calibrated copy; it must not exist."""
    on: str = "synthetic:validation"
    """One set: "synthetic:validation", comparisons (a table, hub:OWNER/NAME:SPLIT), a cache folder, or a data set as
    SOURCE=PATH."""
    pairs: int = 6_000
    """Pairs of a synthetic set."""
    seed: int = 0
    """Seed of the noise and of a synthetic set."""
    batch_size: int = 64
    """Pairs scored at once; changes no score."""
    source: str = "ours"
    """Which data set's columns a file has."""

    def check(self) -> None:
        """Refuse a folder that exists, or cannot be written."""
        check_new_folder("--out", self.out)
