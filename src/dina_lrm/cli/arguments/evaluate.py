"""Options of `dina-lrm evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.console.before import SaysBefore
from dina_lrm.console.common import UserError
from dina_lrm.console.levels import parsed_ensembles, parsed_numbers
from dina_lrm.console.options import EncoderOptions, ModelOptions
from dina_lrm.console.tables import ReadsTables
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.places import check_folder

RESULT = "evaluation.json"


@dataclass
class Arguments(EncoderOptions, ModelOptions, ReadsTables, SaysBefore):
    """Measure reward models on comparison sets: accuracy, calibration, and the faults they miss.

    Every number comes with its 95 % interval, its number of pairs, ties and missing, and the Bayes ceiling where it is
    known. All noise levels and ensembles are read in one pass over the data. What was measured is kept in OUT: the same
    command goes on where it was stopped, and a set that fails does not lose the others (exit code 1).

    Examples:
        dina-lrm evaluate synthetic runs/first/model sharpness --on synthetic --levels 0.2,0.4,0.6 --out evaluation
        dina-lrm evaluate --record runs/first/model --on held_out.jsonl
        dina-lrm evaluate MODEL pickscore clip --on imagereward,hpdv2,genai-bench --data sets --out table1
    """

    models: Positional[tuple[str, ...]]
    """Latent reward models: "synthetic", folders, or Hugging Face Hub ids; and other rewards by family: clip[:MODEL],
    pickscore[:MODEL], hpsv2:MODEL, vlm:MODEL, sharpness, colourfulness, jpeg-size, mixture:FILE, python:FUNCTION."""
    on: str = "synthetic"
    """Sets, with commas between them: "synthetic" (all its sets) or one of them as "synthetic:in_domain"; comparisons,
    a table in any layout or hub:OWNER/NAME:SPLIT; a cache folder made by `prepare`; a data set such as hpdv3,
    hpdv2:test or imagereward=PATH."""
    data: Path | None = None
    """Folder that holds data sets, each in a folder of its name."""
    levels: str | None = None
    """Noise levels in [0, 1], such as 0.2,0.4,0.6; by default the one stored with each model."""
    ensemble: tuple[str, ...] | None = None
    """Noise levels read together, such as 0.2,0.5,0.7, or several such ensembles; by default the one stored with each
    model; "none" for none, "all" for every subset of two or more of --levels."""
    draws: int = 1
    """Noise draws that scores are averaged over; with several, how much single draws differ is measured too."""
    antithetic: FlagCreatePairsOff[bool] = False
    """Draw the noise in twos, one the negative of the other: a mean over an even number of --draws that varies less.
    They are not independent, so that what single draws differ by is not measured."""
    out: Path | None = None
    """Folder for report.html, leaderboard.html, evaluation.json and plots."""
    by_name: FlagCreatePairsOff[bool] = False
    """Measure every named score of a model, each on what the sets say of it, from one pass over each set."""
    record: FlagCreatePairsOff[bool] = False
    """Write the accuracies into the folder of each model: its card (README.md), and its config.json for programs."""
    convention: str = "micro_strict"
    """How pairs and ties are counted; docs/evaluation.md has the table."""
    pairs: int = 2_000
    """Pairs of each synthetic set."""
    seed: int = 0
    """Seed of the noise, the synthetic sets, the sides of published pairs, and the bootstrap."""
    batch_size: int = 64
    """Pairs scored at once; changes no score."""
    source: str = "ours"
    """Which data set's columns the files have."""

    def claims(self) -> Path | None:
        """Where the results go."""
        return self.out

    def readings(self) -> tuple[tuple[float, ...] | None, tuple[tuple[float, ...], ...] | None]:
        """Noise levels and ensembles that are asked for; None = those stored with each model."""
        levels = None if self.levels is None else parsed_numbers("--levels", self.levels)
        return levels, None if self.ensemble is None else parsed_ensembles(self.ensemble, levels)

    def check(self) -> None:
        """Refuse models, a folder and numbers that cannot be."""
        if not self.models:
            raise UserError('no model was given; accepted: "synthetic", a folder, or a hub id, one or more')
        if self.out is not None:
            check_folder("--out", self.out)
            check_results(self.out, RESULT, _is_evaluation, ("report.html", "leaderboard.html", "plots"))
        if len(set(self.models)) < len(self.models):
            raise UserError(f"a model was given twice: {' '.join(self.models)}")
        if self.draws < 1 or self.batch_size < 1:
            given = f"--draws {self.draws}, --batch-size {self.batch_size}"
            raise UserError(f"{given}; accepted: whole numbers of at least 1")
        if self.antithetic and self.draws % 2:
            raise UserError(f"--antithetic --draws {self.draws}; accepted: an even number, such as 2")
        self.readings()


def _is_evaluation(found: Mapping[str, object]) -> bool:
    return found.keys() == {"results", "differences", "failures"}
