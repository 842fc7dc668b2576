"""A leaderboard: judges down, sets across, sorted by any column and filtered as one types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dina_lrm import __version__
from dina_lrm.evaluation.paired import JudgeDifference
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.reports.first.of_evaluation import evaluation_verdict
from dina_lrm.reports.pages import template_environment, write_page
from dina_lrm.reports.tables import tested_sets
from dina_lrm.reports.theme import DARK, LIGHT, css_variables
from dina_lrm.reports.titles import title_of


@dataclass(frozen=True)
class _Cell:
    """Accuracy and interval in percent, and what stands behind them."""

    accuracy: float
    interval: str
    told: str


@dataclass(frozen=True)
class _Line:
    """`rank` is by the mean, or by the only set; equals share one, and what was not measured on all sets has none."""

    model: str
    reading: str
    cells: Sequence[_Cell | None]
    mean: float | None
    rank: int | None = None


def write_leaderboard(
    path: Path | str, results: Sequence[EvaluationResult], differences: Sequence[JudgeDifference] = ()
) -> Path:
    """Write the page to `path` and return the path, best first.

    The mean is over the sets, where a judge was measured on all; `differences` say whether a lead is more than chance.
    """
    path = Path(path)
    sets = {measured.name: measured for measured in tested_sets(results)}
    environment = template_environment()
    page = environment.get_template("leaderboard.html.jinja").render(
        columns=[(title_of(name), None if s.ceiling is None else 100 * s.ceiling) for name, s in sets.items()],
        lines=_ranked([line for result in results for line in _lines(result, list(sets))]),
        verdict=evaluation_verdict(results, differences),
        convention=results[0].convention,
        seed=results[0].seed,
        command=results[0].command,
        version=__version__,
        light=css_variables(LIGHT),
        dark=css_variables(DARK),
    )
    write_page(path, page)
    return path


def _ranked(lines: Sequence[_Line]) -> list[_Line]:
    """Best first, those without a rank last in the order given."""
    means = [line.mean for line in lines if line.mean is not None]
    ranked = [
        line if line.mean is None else replace(line, rank=1 + sum(other > line.mean for other in means))
        for line in lines
    ]
    return sorted(ranked, key=lambda line: (line.rank is None, line.rank))


def _lines(result: EvaluationResult, sets: Sequence[str]) -> list[_Line]:
    lines = []
    for reading in result.readings:
        cells: list[_Cell | None] = []
        for name in sets:
            measured = result.find(name)
            if measured is None:
                cells.append(None)
                continue
            a = measured.at(reading).accuracy
            missing = a.missing + measured.missing
            told = f"{a.counted} of {a.pairs} pairs, {a.label_ties} ties, {missing} missing"
            cells.append(_Cell(100 * a.accuracy, f"({a.interval.ends('.1f', percent=True)})", told))
        known = [cell.accuracy for cell in cells if cell is not None]
        mean = sum(known) / len(known) if len(known) == len(cells) and known else None
        lines.append(_Line(result.model, reading.name, cells, mean))
    return lines
