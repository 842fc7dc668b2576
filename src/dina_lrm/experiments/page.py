"""The page of results: tables, plots and verdicts, all from cells; nothing on it is typed by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dina_lrm.evaluation.interval import Interval, number_text
from dina_lrm.experiments.cells import Cell, load_cells
from dina_lrm.experiments.estimates import (
    MEAN,
    SETS,
    accuracy,
    as_stored,
    calibration_gain,
    check_comparable,
    difference,
    measure,
    verdict_of,
    written,
)
from dina_lrm.experiments.uncertainty_table import (
    uncertain_levels,
    uncertainty_json,
    uncertainty_plot,
    uncertainty_table,
)
from dina_lrm.recipes.ablations import ABLATIONS, Ablation, Claim, Row
from dina_lrm.recipes.variants import PIXELS, READING_NAMES, SWEEP, VARIANTS
from dina_lrm.reports.axes import line_with_band, percent_axis, title_of
from dina_lrm.reports.theme import LIGHT, drawing, save_figure
from dina_lrm.runs.files import write_json, write_text
from dina_lrm.runs.ownership import page_beside

REFERENCE = Row("base")


def write_results(out: Path, names: Sequence[str], seeds: Sequence[int], command: str) -> Path:
    """Write OUT/results.json, OUT/plots and the page OUT.md about the ablations that have cells; returns the page.

    Raises ValueError for cells of different budgets, or measured on different pairs.
    """
    cells = load_cells(out / "cells")
    check_comparable(cells)
    shown = {name: ABLATIONS[name] for name in names if _measured(ABLATIONS[name], cells, seeds)}
    if not shown:
        raise ValueError(f"{out / 'cells'} holds no cell of {', '.join(names)}")
    found = {name: _as_json(chosen, cells, seeds) for name, chosen in shown.items()}
    write_json(out / "results.json", found, indent=1)
    for name, chosen in shown.items():
        for suffix, figure in _figures(chosen, cells, seeds).items():
            save_figure(figure, out / "plots" / f"{name}{suffix}.png")
    page = page_beside(out)
    write_text(page, _page(out, shown, cells, seeds, command))
    return page


def _measured(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> bool:
    if chosen.uncertain is not None:
        return bool(uncertain_levels(chosen.uncertain, cells))
    return any(_trained(cells, row, seeds) for row in chosen.rows)


def _figures(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> dict[str, Figure]:
    if chosen.uncertain is not None:
        return {"": uncertainty_plot(chosen.uncertain, cells, seeds)}
    figures = {"": row_plot(chosen, cells, seeds)}
    return figures | ({"-sweep": sweep_plot(chosen, cells, seeds)} if chosen.sweep else {})


def _trained(cells: Mapping[str, Cell], row: Row, seeds: Sequence[int]) -> bool:
    return accuracy(cells, row, "in_domain", seeds) is not None


def _as_json(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> dict[str, object]:
    rows = []
    for row in chosen.rows:
        numbers = {column: accuracy(cells, row, column, seeds) for column in (*SETS, MEAN)}
        plain = {column: None if e is None else as_stored(e) for column, e in numbers.items()}
        rows.append({"variant": row.variant, "label": VARIANTS[row.variant].label, "reading": row.reading, **plain})
    claims = []
    for claim in chosen.claims:
        gap = _gap(claim, cells, seeds)
        verdict = None if gap is None else verdict_of(gap)
        claims.append({"text": claim.text, "verdict": verdict, "difference": None if gap is None else as_stored(gap)})
    found: dict[str, object] = {"title": chosen.title, "rows": rows, "claims": claims}
    if chosen.uncertain is not None:
        found["uncertainty"] = uncertainty_json(chosen.uncertain, cells, seeds)
    return found


def _elsewhere(out: Path) -> list[str]:
    """Where the other results are, if they are there."""
    if not (out / "alignment.md").is_file():
        return []
    return [
        f"What alignment is worth with these models has a page of its own: [alignment]({out.name}/alignment.md).",
        "",
    ]


def _page(
    out: Path, shown: Mapping[str, Ablation], cells: Mapping[str, Cell], seeds: Sequence[int], command: str
) -> str:
    any_cell, folder = next(iter(cells.values())), out.name
    seconds = sum(cell.seconds for cell in cells.values())
    ceilings = ", ".join(f"{title_of(name).lower()} {100 * any_cell.sets[name].ceiling:.1f}" for name in SETS)
    counts = Counter(cell.variant for cell in cells.values()).values()
    some = f"{min(counts)} to {max(counts)} seeds" if min(counts) < max(counts) else f"{max(counts)} seeds"
    parts = [
        "# Results",
        "",
        "The paper's tables and figures in miniature, on the synthetic world. This page is written by "
        f"`{command}` from the cells in `{folder}/cells`; nothing on it is typed by hand.",
        "",
        f"{len(cells)} models, {some} each, {any_cell.steps} steps on {any_cell.prompts:,} prompts of eight pictures: "
        f"{seconds / 3600:.1f} hours of training on one core. {any_cell.sets['in_domain'].pairs:,} pairs a test set; "
        f"Bayes ceilings in per cent: {ceilings}. Accuracies are in per cent, with 95 % intervals that know of the "
        "drawing of prompts and of the spread of seeds; differences are taken on the same pairs and seeds, against "
        f"*{VARIANTS[REFERENCE.variant].label}* read at t = {REFERENCE.reading}. How a finding fares here says how it "
        "fares in a small world: a hypothesis about the large one, not a proof.",
        "",
        *_elsewhere(out),
        "## Findings of the paper, and beyond it",
        "",
        "| finding | in | difference in points of accuracy, or of calibration error | here |",
        "|---|---|---|---|",
    ]
    for chosen in shown.values():
        parts += [_claim_line(chosen, claim, cells, seeds) for claim in chosen.claims]
    for name, chosen in shown.items():
        parts += ["", f"## {chosen.title}", "", chosen.about, ""]
        if chosen.uncertain is not None:
            parts += [*uncertainty_table(chosen.uncertain, cells, seeds), ""]
            parts.append(f"![{chosen.title}: over noise level]({folder}/plots/{name}.png)")
            continue
        parts += [*_table(chosen, cells, seeds), ""]
        parts.append(f"![{chosen.title}: accuracy of each row with its interval]({folder}/plots/{name}.png)")
        if chosen.sweep:
            parts += ["", f"![{chosen.title}: accuracy over noise level]({folder}/plots/{name}-sweep.png)"]
    machine = ", ".join(f"{key} {value}" for key, value in any_cell.environment.items())
    parts += ["", "## Where it was measured", "", machine + ".", ""]
    return "\n".join(parts)


def _gap(claim: Claim, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Interval | None:
    if claim.calibration:
        return calibration_gain(cells, claim.better, claim.worse, seeds)
    return difference(cells, claim.better, claim.worse, claim.column, seeds)


def _claim_line(chosen: Ablation, claim: Claim, cells: Mapping[str, Cell], seeds: Sequence[int]) -> str:
    gap = _gap(claim, cells, seeds)
    where = chosen.title.split(":")[0]
    if gap is None:
        return f"| {claim.text} | {where} | | not measured |"
    return f"| {claim.text} | {where} | {_points(gap)} | {verdict_of(gap)} |"


def _table(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> list[str]:
    columns = ["model", "read at", *(title_of(name).lower() for name in SETS), "mean", "against base", "ECE", "seeds"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for row in chosen.rows:
        values = [accuracy(cells, row, column, seeds) for column in (*SETS, MEAN)]
        known = [value for value in values if value is not None]
        if not known:
            continue
        gap = None if row == REFERENCE else difference(cells, row, REFERENCE, MEAN, seeds)
        ece = measure(cells, row, "in_domain", "ece", seeds)
        shown = [VARIANTS[row.variant].label, _reading(row), *(each.text(".1f", percent=True) for each in known)]
        shown += [
            "" if gap is None else _points(gap),
            "" if ece is None else number_text(ece, ".1f", percent=True),
            str(known[0].n),
        ]
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def _points(gap: Interval) -> str:
    return written(gap, "+.1f", percent=True)


def row_plot(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Figure:
    """One panel a set: the rows of the table as points with their intervals, the ceiling dotted."""
    rows = [row for row in chosen.rows if _trained(cells, row, seeds)]
    names = [f"{VARIANTS[row.variant].label}; {_read_at(row)}" for row in rows]
    with drawing(LIGHT):
        figure = Figure(figsize=(11.5, 1.1 + 0.34 * len(rows)))
        panels = figure.subplots(1, len(SETS) + 1, sharey=True)
        for panel, column in zip(panels, (*SETS, MEAN), strict=True):
            for place, row in enumerate(rows):
                value = accuracy(cells, row, column, seeds)
                assert value is not None
                colour = LIGHT.colour(0 if row != REFERENCE else 1)
                middle, low, high = (100 * each for each in value.span)
                panel.hlines(place, low, high, color=colour, linewidth=1.8)
                panel.plot([middle], [place], "o", color=colour, markersize=5)
            panel.set_title(title_of(column).replace(" ", "\n"), fontsize=9)
            panel.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
            panel.grid(True, axis="x")
            panel.grid(False, axis="y")
        panels[0].set_yticks(range(len(rows)), names)
        panels[0].tick_params(axis="y", labelcolor=LIGHT.ink)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        figure.supxlabel("pairwise accuracy in per cent", fontsize=9, color=LIGHT.quiet)
        return figure


def _read_at(row: Row) -> str:
    return row.reading if row.reading == PIXELS else f"t = {_reading(row)}"


def _reading(row: Row) -> str:
    return READING_NAMES.get(row.reading, row.reading).replace("+", " + ")


def sweep_plot(chosen: Ablation, cells: Mapping[str, Cell], seeds: Sequence[int]) -> Figure:
    """Mean accuracy over the noise level at which the models of an ablation are read, with intervals."""
    variants = dict.fromkeys(row.variant for row in chosen.rows if _trained(cells, row, seeds))
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 4.0))
        axes = figure.add_subplot()
        for index, variant in enumerate(variants):
            some = next(cell for cell in cells.values() if cell.variant == variant)
            levels = [level for level in SWEEP if f"{level:g}" in some.sets["in_domain"].readings]
            found = [accuracy(cells, Row(variant, f"{level:g}"), MEAN, seeds) for level in levels]
            known = [each.span for each in found if each is not None]
            line_with_band(axes, levels, known, VARIANTS[variant].label, index, LIGHT)
        axes.set_xlabel("noise level of scoring")
        axes.set_ylabel("mean accuracy of four sets")
        percent_axis(axes)
        axes.legend(loc="lower left")
        return figure
