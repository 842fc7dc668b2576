"""The page of the alignment study: tables, plots and verdicts, all from cells; nothing on it is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from dina_lrm.alignment.monitor.alarm import AlarmSettings
from dina_lrm.evaluation.interval import Interval, number_text
from dina_lrm.experiments.alignment_alarms import alarmed, best_look, rolled_back, window_of
from dina_lrm.experiments.alignment_cells import TRUTH, AlignedCell, load_aligned_cells
from dina_lrm.experiments.alignment_costs import AlignmentCost, load_costs
from dina_lrm.experiments.alignment_estimates import (
    Cells,
    Chosen,
    compute_ratio,
    compute_to_reach,
    gain,
    gain_difference,
    of_variant,
)
from dina_lrm.experiments.alignment_runs import COSTS, PICTURES
from dina_lrm.experiments.estimates import as_stored, verdict_of
from dina_lrm.recipes.alignment_study import (
    ALIGNMENT_STUDIES,
    ALIGNMENT_VARIANTS,
    LAST_FIRST_SEED,
    AlignmentClaim,
    AlignmentStudy,
)
from dina_lrm.reports.alignment_plots import MANY_RUNS, alignment_curves
from dina_lrm.reports.axes import legend_above, line_with_band
from dina_lrm.reports.theme import LIGHT, drawing, save_figure
from dina_lrm.runs.files import write_json, write_text
from dina_lrm.runs.ownership import page_beside

_BANDS: Final = (
    "Bands of the panels are 95 % intervals over seeds of the mean on these prompts: the drawing of prompts, which the "
    "table's intervals know of, is not in them. Scales of rewards differ between runs with different rewards."
)
_NO_BANDS: Final = (
    "With so many runs the panels show neither bands nor alarms. Scales of rewards differ between runs with different "
    "rewards: an objective of several rewards is a sum of z-scores."
)


def write_alignment_results(out: Path, names: Sequence[str], seeds: Sequence[int], command: str) -> Path:
    """Write OUT/results.json, OUT/plots and the page OUT.md about the studies that have cells; returns the page.

    Raises ValueError where there are no cells, or they were looked at with different prompts.
    """
    cells = {name: cell for name, cell in load_aligned_cells(out / "cells").items() if cell.seed in seeds}
    costs = load_costs(out / COSTS)
    shown = {name: ALIGNMENT_STUDIES[name] for name in names if _present(ALIGNMENT_STUDIES[name], cells)}
    if not shown:
        raise ValueError(f"{out / 'cells'} holds no cell of {', '.join(names)}")
    _check_comparable(cells)
    found = {name: _as_json(study, cells, costs) for name, study in shown.items()}
    write_json(out / "results.json", found, indent=1)
    for name, study in shown.items():
        save_figure(_curves(study, cells), out / "plots" / f"{name}.png")
        if study.over_compute:
            save_figure(utility_over_compute(study, cells, costs), out / "plots" / f"{name}-compute.png")
    page = page_beside(out)
    write_text(page, _page(out, shown, cells, costs, command))
    return page


def _present(study: AlignmentStudy, cells: Cells) -> list[str]:
    return [name for name in study.variants if of_variant(cells, name)]


def _check_comparable(cells: Cells) -> None:
    pictures = {len(cell.values("utility", 0)): cell.name for cell in cells.values()}
    if len(pictures) > 1:
        raise ValueError(f"cells were looked at with different prompts: {pictures}; give another --out")


def _curves(study: AlignmentStudy, cells: Cells) -> Figure:
    runs = {_label(name): [cell.history for cell in of_variant(cells, name)] for name in _present(study, cells)}
    return alignment_curves(runs, AlarmSettings(window=_window(cells)), LIGHT)


def utility_over_compute(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> Figure:
    """True utility above the base model's over the FLOPs that were spent, mean of the seeds with its interval."""
    with drawing(LIGHT):
        figure = Figure(figsize=(7.2, 4.0))
        axes = figure.add_subplot()
        for index, name in enumerate(_present(study, cells)):
            own = of_variant(cells, name)
            looks = range(len(own[0].steps()))
            found = [gain(cells, name, "utility", look) for look in looks]
            known = [each.span for each in found if each is not None]
            spent = [costs[name].after(step) / 1e12 for step in own[0].steps()]
            line_with_band(axes, spent, known, _label(name), index, LIGHT)
        axes.axhline(0, color=LIGHT.quiet, linewidth=0.8)
        axes.set_xlabel("TFLOPs of the alignment")
        axes.set_ylabel("true utility above the base model's")
        legend_above(figure, axes)
        return figure


def _reached(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> list[str]:
    """What each run spends until it is as good as the least of them at its end."""
    ends = {name: found.span[0] for name in _present(study, cells) if (found := gain(cells, name)) is not None}
    last = min(ends, key=lambda name: ends[name])
    if len(ends) < 2 or ends[last] <= 0:
        return []
    parts = []
    for name in ends:
        flops = compute_to_reach(cells, name, ends[last], costs[name])
        if flops is None:
            continue
        saved = compute_ratio(cells, name, last, costs) if name != last else None
        told = "" if saved is None else f", {saved.text('.1f')} times less"
        parts.append(f"{_label(name)} after {flops / 1e12:.2f} TFLOPs{told}")
    return [
        f"The mean gain that {_label(last)} ends with, {number_text(ends[last], '+.2f')}, is reached by "
        f"{', by '.join(parts)}. The interval of a ratio draws prompts and seeds; a draw in which the gain is never "
        "reached counts as 0 times."
    ]


def _page(
    out: Path, shown: Mapping[str, AlignmentStudy], cells: Cells, costs: Mapping[str, AlignmentCost], command: str
) -> str:
    folder, some = out.name, next(iter(cells.values()))
    pictures = len(some.values("utility", 0))
    seconds = sum(cell.seconds for cell in cells.values())
    seeds = sorted({cell.seed for cell in cells.values()})
    later = " Seeds from 3 on were run when those before had been seen." if seeds[-1] > LAST_FIRST_SEED else ""
    parts = [
        "# Results: aligning a generator",
        "",
        "Figures 3 to 5 of the paper, LPO beside its rivals, and reward hacking with and without its remedies, on the "
        f"synthetic world. This page is written by `{command}` from the cells in `{folder}/cells`; nothing on it is "
        "typed by hand.",
        "",
        f"{len(cells)} runs with the seeds {', '.join(map(str, seeds))}: {seconds / 3600:.1f} hours of one core."
        f"{later} Each look is at {pictures} pictures of {pictures} prompts that no run trains on, the same prompts "
        "and initial noise for all. True utility is read off the pictures by the analytic oracle (0 = nothing wrong). "
        "A gain is that of the last look over the first, picture by picture; 95 % intervals know of the drawing of "
        "prompts and of the spread of seeds. Drift is the mean squared distance of the velocity to the base model's at "
        "t = 0.5.",
        "",
        f"The alarm takes its trends over {_window(cells)} looks, so that none can sound before. With the truth hidden "
        "it has the golden judge and the measures of the pictures, as on real prompts. The best look is the one that "
        "the truth would choose; roll-back keeps the one that the golden judge liked best before what the first alarm, "
        "the truth hidden, is about, and the last one where none sounds.",
        "",
        "## Findings",
        "",
        "| finding | in | true utility | here |",
        "|---|---|---|---|",
    ]
    for study in shown.values():
        parts += [_claim_line(study, claim, cells) for claim in study.claims]
    for name, study in shown.items():
        parts += ["", f"## {study.title}", "", study.about, "", *_table(study, cells, costs), ""]
        parts.append(f"![{study.title}: reward, truth and measures of the pictures]({folder}/plots/{name}.png)")
        if study.over_compute:
            parts += ["", f"![{study.title}: true utility over compute]({folder}/plots/{name}-compute.png)"]
            parts += ["", *_reached(study, cells, costs)]
        parts += ["", _BANDS if len(_present(study, cells)) <= MANY_RUNS else _NO_BANDS]
        parts += ["", "### Alarms, and what rolling back keeps", "", *_alarm_table(study, cells)]
        for variant in study.pictures:
            if (out / PICTURES / f"{variant}.png").is_file():
                label = _label(variant)
                parts += ["", f"{label}: the same prompts and noise over the updates, seed 0.", ""]
                parts.append(f"![{label}: pictures over the updates]({folder}/{PICTURES}/{variant}.png)")
    machine = ", ".join(f"{key} {value}" for key, value in some.environment.items())
    parts += ["", "## Where it was measured", "", machine + ".", ""]
    return "\n".join(parts)


def _estimate_of(claim: AlignmentClaim, cells: Cells) -> Interval | None:
    if claim.worse is None:
        return gain(cells, claim.better)
    return gain_difference(cells, claim.better, claim.worse)


def _claim_line(study: AlignmentStudy, claim: AlignmentClaim, cells: Cells) -> str:
    found = _estimate_of(claim, cells)
    if found is None:
        return f"| {claim.text} | {study.title} | | not measured |"
    return f"| {claim.text} | {study.title} | {_signed(found)} | {verdict_of(found)} |"


def _table(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> list[str]:
    heads = (
        "run",
        "updates",
        "TFLOPs",
        "objective",
        "golden",
        "true utility",
        "alignment",
        "quality",
        "drift",
        "seeds",
    )
    lines = _heads(heads)
    for name in _present(study, cells):
        own = of_variant(cells, name)
        last = own[0].records[-1].step
        spent = f"{costs[name].after(last) / 1e12:.2f}" if name in costs else ""
        truth = [_signed(found) for value in TRUTH if (found := gain(cells, name, value)) is not None]
        row = [_label(name), str(last), spent, _judge(own, "proxy"), _judge(own, "golden"), *truth, _drift(own)]
        lines.append(f"| {' | '.join([*row, str(len(own))])} |")
    return lines


def _alarm_table(study: AlignmentStudy, cells: Cells) -> list[str]:
    """What was heard with and without the truth, and what was best, would have been kept, and was there at the end."""
    heads = (
        "run",
        "alarms, truth hidden",
        "alarms, truth seen",
        "gain at the best look",
        "gain after roll-back",
        "gain at the end",
    )
    lines = _heads(heads)
    for name in _present(study, cells):
        own = of_variant(cells, name)
        found = [gain(cells, name, look=look) for look in (best_look, rolled_back, -1)]
        gains = [_signed(each) for each in found if each is not None]
        steps = [_steps(own, look) for look in (best_look, rolled_back)]
        told = [f"{text}, at {step}" for text, step in zip(gains, steps, strict=False)]
        lines.append(f"| {' | '.join([_label(name), alarmed(own, False), alarmed(own, True), *told, gains[-1]])} |")
    return lines


def _heads(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def _steps(own: Sequence[AlignedCell], look: Chosen) -> str:
    return ", ".join(str(cell.steps()[look(cell)]) for cell in own)


def _drift(own: Sequence[AlignedCell]) -> str:
    """The last mean squared distance of the velocity to the base model's, mean over the seeds."""
    found = [drift for cell in own if (drift := cell.records[-1].extra.get("drift")) is not None]
    return f"{np.mean(found):.2g}" if found else ""


def _judge(own: Sequence[AlignedCell], role: str) -> str:
    """First and last mean of the objective or the golden judge, means over the seeds."""
    ends = []
    for record in (0, -1):
        found = [cell.records[record].judges.get(str(getattr(cell.records[record], role))) for cell in own]
        values = [summary.mean for summary in found if summary is not None and summary.mean is not None]
        if not values:
            return ""
        ends.append(float(np.mean(values)))
    return " → ".join(number_text(end) for end in ends)


def _window(cells: Cells) -> int:
    return window_of(next(iter(cells.values())))


def _label(variant: str) -> str:
    return ALIGNMENT_VARIANTS[variant].label


def _signed(gained: Interval) -> str:
    return gained.text("+.2f")


def _as_json(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> dict[str, object]:
    rows = []
    for name in _present(study, cells):
        truth = {value: found for value in TRUTH if (found := gain(cells, name, value)) is not None}
        cost = costs.get(name)
        rows.append(
            {
                "variant": name,
                "label": _label(name),
                "cost": None if cost is None else asdict(cost),
                "gain": {value: as_stored(found) for value, found in truth.items()},
            }
        )
    claims = []
    for claim in study.claims:
        found = _estimate_of(claim, cells)
        verdict = None if found is None else verdict_of(found)
        claims.append({"text": claim.text, "verdict": verdict, "gain": None if found is None else as_stored(found)})
    return {"title": study.title, "rows": rows, "claims": claims}
