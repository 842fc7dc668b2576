"""The report of a training run: what it learned from, how the loss went, and what the model reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.reports.blocks import Block, Code, Facts, Figure, Section, Text
from dina_lrm.reports.evaluation import PairImages, evaluation_sections
from dina_lrm.reports.html import write_report
from dina_lrm.reports.run_plots import training_curves
from dina_lrm.reports.theme import LIGHT, save_figure
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.metrics import METRICS_FILE, read_lines

_MEASURES: Final = (
    "loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "gradient_norm",
)  # fmt: skip
"""Keys of a line of metrics.jsonl, in the order in which they are drawn; those that a run did not log are left out."""


def write_run_report(
    folder: Path, results: Sequence[EvaluationResult] = (), images: PairImages | None = None, command: str = ""
) -> Path:
    """Write `report.html` and `plots/training.png` into a run's folder, from its config.json and metrics.jsonl."""
    lines = read_lines(folder / METRICS_FILE)
    measures = [name for name in _MEASURES if any(line.get(name) is not None for line in lines)]
    record = read_json_object(folder / "config.json")
    evaluated = evaluation_sections(results, images) if results else []
    sections = [_training(lines, measures), *evaluated, _settings(record, command)]
    if measures:
        save_figure(training_curves(lines, measures, theme=LIGHT), folder / "plots" / "training.png")
    steps = max((int(line["step"] or 0) for line in lines), default=0)
    settings = record.get("train")
    name = settings.get("name", folder.name) if isinstance(settings, Mapping) else folder.name
    return write_report(folder / "report.html", f"Training run {name}", sections, f"{steps:,} steps")


def _training(lines: Sequence[Mapping[str, float | int | None]], measures: Sequence[str]) -> Section:
    if not measures:
        return Section("Training", [Text("Nothing was logged.")])
    caption = "Pale: as logged, means over the pairs between two lines, at random noise levels. Strong: a running mean."
    return Section("Training", [Figure(training_curves(lines, measures), caption)])


def _settings(record: Mapping[str, Any], command: str) -> Section:
    blocks: list[Block] = [Code(command)] if command else []
    return Section("Settings", [*blocks, Facts(flat(record))])


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found
