"""The folder of a run, read for a notebook: what it is, its numbers, and its curves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from matplotlib.figure import Figure

from dina_lrm.reports.drawing import adaptive_svg
from dina_lrm.reports.run_plots import training_curves
from dina_lrm.reports.theme import ADAPTIVE, LIGHT, Theme, css_variables
from dina_lrm.runs.folder import CONFIG
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.metrics import METRICS_FILE, read_lines
from dina_lrm.screen import escaped, number_text
from dina_lrm.typed import DinaError

_MEASURES: Final = ("loss", "accuracy", "validation_loss", "validation_accuracy", "reward")
"""What is drawn of the numbers that a run logs, where it logs them."""


class Run:
    """A folder that `train` or `align` writes: `settings` of its config.json, `lines` of its metrics.jsonl.

    It is read when the object is made; make another to see how a run goes on. Raises ValueError for a folder without a
    config.json, and FileNotFoundError as the files of it are read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        if not (self.folder / CONFIG).is_file():
            raise DinaError(f"{self.folder}: no {CONFIG}; accepted: the folder that train or align writes")
        self.settings: dict[str, Any] = read_json_object(self.folder / CONFIG)
        self.lines: list[dict[str, Any]] = read_lines(self.folder / METRICS_FILE)

    @property
    def steps(self) -> int:
        """The last step that was logged, 0 before the first."""
        return max((int(line["step"]) for line in self.lines), default=0)

    @property
    def measures(self) -> list[str]:
        """Names of the numbers that are drawn."""
        return [name for name in _MEASURES if any(isinstance(line.get(name), int | float) for line in self.lines)]

    @property
    def last(self) -> dict[str, float]:
        """The latest value of each measure."""
        found: dict[str, float] = {}
        for line in self.lines:
            found |= {name: line[name] for name in self.measures if isinstance(line.get(name), int | float)}
        return found

    def curves(self, measures: Sequence[str] = (), theme: Theme = ADAPTIVE) -> Figure:
        """A panel for each of `measures`, or of those there are. Raises ValueError where nothing was logged."""
        wanted = list(measures) or self.measures
        if not wanted:
            raise DinaError(f"{self.folder}: nothing was logged yet; accepted: a run that has made a step")
        return training_curves(self.lines, wanted, theme=theme)

    def __repr__(self) -> str:
        """One line: which run, without where it lies, how far, the latest numbers."""
        values = ", ".join(f"{name} {number_text(value, '.3g')}" for name, value in self.last.items())
        told = f"Run {escaped(self.folder.resolve().name)}: {self._name}, {self.steps:,} steps"
        return f"{told}; {values}" if values else told

    def _repr_html_(self) -> str:
        """The same line, with the curves below it as a drawing that needs nothing else."""
        line = Markup("<div>{}</div>").format(repr(self))
        return str(line + self._drawing() if self.measures else line)

    def _drawing(self) -> Markup:
        figure = self.curves()
        told = f"{self.folder}{self.steps}{self.measures}"
        svg = adaptive_svg(figure, f"run-{hashlib.sha256(told.encode(errors='surrogateescape')).hexdigest()[:12]}")
        colours = ";".join(f"{name}:{colour}" for name, colour in css_variables(LIGHT).items())
        width = f"max-width:{figure.get_figwidth() * 96:.0f}px;font-family:sans-serif"
        return Markup('<div style="{};{};background:{}">{}</div>').format(colours, width, LIGHT.paper, Markup(svg))

    @property
    def _name(self) -> str:
        training = self.settings.get("train")
        settings = training if isinstance(training, dict) else self.settings
        algorithm = f"{settings['algorithm']} " if isinstance(settings.get("algorithm"), str) else ""
        return escaped(f"{algorithm}{settings.get('name', 'run')}")
