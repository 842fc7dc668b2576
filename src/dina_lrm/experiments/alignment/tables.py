"""Tables of the alignment study: what each run reached and cost, and what its alarms would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dina_lrm.experiments.alignment.alarms import alarmed, best_look, rolled_back
from dina_lrm.experiments.alignment.cells import TRUTH, AlignedCell
from dina_lrm.experiments.alignment.costs import AlignmentCost
from dina_lrm.experiments.alignment.estimates import (
    Cells,
    Chosen,
    compute_ratio,
    compute_to_reach,
    gain,
    of_variant,
    present,
)
from dina_lrm.experiments.alignment.studies import ALIGNMENT_VARIANTS, AlignmentStudy
from dina_lrm.experiments.page import MarkdownTable
from dina_lrm.screen import number_text


def runs_table(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> MarkdownTable:
    """What each run spent, what the judges say of its first and last look, and what it truly gained."""
    heads = ("run", "updates", "TFLOPs", "objective", "golden", "true utility", *TRUTH[1:], "drift", "seeds")
    rows = []
    for name in present(study, cells):
        own = of_variant(cells, name)
        last = own[0].records[-1].step
        spent = f"{costs[name].after(last) / 1e12:.2f}" if name in costs else ""
        truth = [found.text("+.2f") for value in TRUTH if (found := gain(cells, name, value)) is not None]
        judges = [_judge(own, role) for role in ("proxy", "golden")]
        rows.append([_label(name), str(last), spent, *judges, *truth, _drift(own), str(len(own))])
    return MarkdownTable(heads, rows)


def alarm_table(study: AlignmentStudy, cells: Cells) -> MarkdownTable:
    """What was heard with and without the truth, and what was best, would have been kept, and was there at the end."""
    heads = (
        "run",
        "alarms, truth hidden",
        "alarms, truth seen",
        "gain at the best look",
        "gain after roll-back",
        "gain at the end",
    )
    rows = []
    for name in present(study, cells):
        own = of_variant(cells, name)
        found = [gain(cells, name, look=look) for look in (best_look, rolled_back, -1)]
        gains = [each.text("+.2f") for each in found if each is not None]
        steps = [_steps(own, look) for look in (best_look, rolled_back)]
        told = [f"{text}, at {step}" for text, step in zip(gains, steps, strict=False)]
        rows.append([_label(name), alarmed(own, False), alarmed(own, True), *told, gains[-1]])
    return MarkdownTable(heads, rows)


def reached(study: AlignmentStudy, cells: Cells, costs: Mapping[str, AlignmentCost]) -> str:
    """What runs spend until they are as good as the least of them at its end, as sentences; "" if that is no gain."""
    ends = {name: found.span[0] for name in present(study, cells) if (found := gain(cells, name)) is not None}
    last = min(ends, key=lambda name: ends[name])
    if len(ends) < 2 or ends[last] <= 0:
        return ""
    parts = []
    for name in ends:
        flops = compute_to_reach(cells, name, ends[last], costs[name])
        if flops is None:
            continue
        saved = compute_ratio(cells, name, last, costs) if name != last else None
        told = "" if saved is None else f", {saved.text('.1f')} times less"
        parts.append(f"{_label(name)} after {flops / 1e12:.2f} TFLOPs{told}")
    return (
        f"The mean gain that {_label(last)} ends with, {number_text(ends[last], '+.2f')}, is reached by "
        f"{', by '.join(parts)}. The interval of a ratio draws prompts and seeds; a draw in which the gain is never "
        "reached counts as 0 times."
    )


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


def _label(variant: str) -> str:
    return ALIGNMENT_VARIANTS[variant].label
