"""The report of a training run: what it learned from, how the loss went, and what the model reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.recipes import RECIPES, recipe
from dina_lrm.reports.blocks import Figure, Section, Text
from dina_lrm.reports.drawing import save_figure
from dina_lrm.reports.evaluation import PairImages, evaluation_sections
from dina_lrm.reports.first.of_evaluation import evaluation_verdict
from dina_lrm.reports.first.settings import settings_section
from dina_lrm.reports.first.verdicts import LossOverSteps, Verdict, learning_verdict, share_interval
from dina_lrm.reports.html import write_report
from dina_lrm.reports.run_plots import training_curves
from dina_lrm.reports.theme import LIGHT
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.typed import from_plain

_MEASURES: Final = (
    "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "gradient_norm",
    "pairs_per_second", "mfu", "data_wait",
)  # fmt: skip
"""Keys of a line of metrics.jsonl, in the order in which they are drawn; those that a run did not log are left out."""


def write_run_report(
    folder: Path, results: Sequence[EvaluationResult] = (), images: PairImages | None = None, command: str = ""
) -> Path:
    """Write `report.html` and `plots/training.png` into a run's folder, from its config.json and metrics.jsonl."""
    lines = read_lines(folder / METRICS_FILE)
    measures = [name for name in _MEASURES if any(line.get(name) is not None for line in lines)]
    record = read_json_object(folder / "config.json")
    settings = record.get("train")
    name = settings.get("name", folder.name) if isinstance(settings, Mapping) else folder.name
    evaluated = evaluation_sections(results, images) if results else []
    usual = recipe(name).to_dict() if name in RECIPES else None
    sections = [
        _training(lines, measures),
        *evaluated,
        settings_section(record, usual, "train"),
    ]
    if measures:
        save_figure(training_curves(lines, measures, theme=LIGHT), folder / "plots" / "training.png")
    steps = max((int(line["step"] or 0) for line in lines), default=0)
    verdict = evaluation_verdict(results) if results else run_verdict(folder, lines)
    return write_report(folder / "report.html", f"Training run {name}", sections, f"{steps:,} steps", verdict, command)


def training_sections(folder: Path) -> tuple[list[Section], Verdict]:
    """The curves of a run so far, its settings, and what can be said of it now."""
    lines = read_lines(folder / METRICS_FILE)
    measures = [name for name in _MEASURES if any(line.get(name) is not None for line in lines)]
    sections = [_training(lines, measures)]
    if (folder / "config.json").is_file():
        sections.append(settings_section(read_json_object(folder / "config.json"), None, "train"))
    return sections, run_verdict(folder, lines)


def run_verdict(folder: Path, lines: Sequence[Mapping[str, float | int | None]]) -> Verdict:
    """What the finished model was measured to be, on held-out pairs or on those trained on, beside the loss."""
    steps = max((int(line["step"] or 0) for line in lines), default=0)
    losses = [math.nan if line["loss"] is None else float(line["loss"]) for line in lines if "loss" in line]
    found = _measured(folder / "model" / "config.json")
    if found is None:
        return Verdict(f"Not finished: {steps:,} steps are done, and there is no model yet.")
    number, pairs = found.measured_prompts, found.measured.pairs
    over = "pairs of one prompt" if number == 1 else f"{number or 0:,} prompts"
    drawn = pairs - found.measured.ties if number == 1 else number or 0
    accuracy = share_interval(found.measured.accuracy, drawn)
    loss = LossOverSteps(losses[0] if losses else None, losses[-1] if losses else None, steps)
    return learning_verdict(accuracy, pairs, over, found.measured_on == "validation", loss)


@dataclass(frozen=True)
class _Numbers:
    pairs: int = 0
    ties: int = 0
    accuracy: float | None = None


@dataclass(frozen=True)
class _Measured:
    """What the config.json of a model says of how it was measured at the end of its training."""

    measured: _Numbers
    measured_on: str = "training"
    measured_prompts: int | None = None
    """An earlier version did not say."""


def _measured(file: Path) -> _Measured | None:
    if not file.is_file():
        return None
    told = read_json_object(file).get("notes", {}).get("training", {})
    numbers = {name: told.get("measured", {}).get(name) for name in ("pairs", "ties", "accuracy")}
    known = {name: value for name, value in numbers.items() if value is not None}
    return from_plain(
        _Measured,
        {"measured": known, **{name: told[name] for name in ("measured_on", "measured_prompts") if name in told}},
        str(file),
    )


def _training(lines: Sequence[Mapping[str, float | int | None]], measures: Sequence[str]) -> Section:
    if not measures:
        return Section("Training", [Text("Nothing was logged.")])
    caption = "Pale: as logged, means over the pairs between two lines, at random noise levels. Strong: a running mean."
    return Section("Training", [Figure(training_curves(lines, measures), caption)])
