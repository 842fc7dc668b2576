"""The report of a tuned generator beside its base: who wins by whom, what is true, what changed, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dina_lrm.evaluation.bootstrap import NEEDS_PROMPTS, share_interval_text
from dina_lrm.evaluation.generators import Comparison, Estimate, GeneratorComparison, GroupComparison
from dina_lrm.reports.axes import title_of
from dina_lrm.reports.blocks import (
    Block,
    Cell,
    Code,
    Facts,
    Headline,
    Headlines,
    ImageGrid,
    ImageRow,
    Picture,
    Section,
    Share,
    Table,
    Text,
    as_written,
    measured_share,
)
from dina_lrm.reports.html import write_report
from dina_lrm.synthetic.generated import stored_oracle_error

PICTURES: Final = 12
"""Prompts that are shown with a picture of each side."""
_ORACLE: Final = "oracle"


def write_generator_report(
    path: Path, result: GeneratorComparison, captions: Sequence[str], base: NDArray[np.uint8], tuned: NDArray[np.uint8]
) -> Path:
    """The page; `base` and `tuned` are pictures of the same prompts, `captions`, and seeds."""
    sections = [_summary(result)]
    if result.of_kind("attribute"):
        sections.append(_composition(result))
    sections += [_groups(result, name) for name in dict.fromkeys(group.grouping for group in result.groups)]
    sections += [_changes(result), _pictures(captions, base, tuned), _provenance(result)]
    subtitle = f"{result.prompts} prompts of {result.prompt_set}, {result.images_per_prompt} pictures each, seed "
    return write_report(path, f"{result.tuned} against {result.base}", sections, f"{subtitle}{result.seed}")


def result_tables(result: GeneratorComparison) -> list[Table]:
    """What a terminal shows: rewards and truth, composition, measures."""
    found = [wins_table(result)] if result.of_kind("reward", "truth") else []
    if result.of_kind("attribute"):
        found.append(composition_table(result))
    return [*found, measures_table(result)]


def wins_table(result: GeneratorComparison) -> Table:
    """Rewards and truth: means, the difference on the same prompt and seed, and the share of pairs that are won."""
    rows: list[list[Cell]] = [
        [
            found.name,
            found.role or _ORACLE,
            found.base.mean,
            found.tuned.mean,
            with_interval(found.difference, signed=True),
            share(found.win_rate),
            found.ties,
            found.difference.missing,
        ]
        for found in result.of_kind("reward", "truth")
    ]
    columns = ["Judge", "In the tuning", "Base", "Tuned", "Difference", "Wins, %", "Ties", "Missing"]
    return Table(columns, rows, caption="Tuned against base: the same prompts and seeds, ties half, 95 % intervals.")


def composition_table(result: GeneratorComparison) -> Table:
    """What captions ask for, in percent right."""
    rows: list[list[Cell]] = []
    for found in result.of_kind("attribute"):
        gap = found.difference
        change = None if gap.mean is None else measured_share(gap.mean, gap.low, gap.high, signed=True)
        rows.append([found.name, share(found.base), share(found.tuned), change, gap.counted])
    return Table(["Asked for", "Base, %", "Tuned, %", "Difference", "Pairs"], rows, "Right, by the oracle.")


def measures_table(result: GeneratorComparison) -> Table:
    """Measures of the pictures that are neither better nor worse by themselves."""
    rows: list[list[Cell]] = [
        [title_of(found.name), found.base.mean, found.tuned.mean, with_interval(found.difference, signed=True)]
        for found in result.of_kind("measure")
    ]
    return Table(["Measure", "Base", "Tuned", "Difference"], rows)


def verdicts(result: GeneratorComparison) -> list[str]:
    """What the intervals decide of the gain, in sentences; nothing where no optimised reward rises among the judges.

    A mean may hold while most pairs are lost, where a few are won by much: both are said.
    """
    judged = result.of_kind("reward", "truth")
    ahead = [found.name for found in judged if found.role == "optimised" and found.difference.beyond(0.0) > 0]
    if not ahead:
        return []
    others = [found for found in judged if found.role != "optimised"]
    rise = f"{' and '.join(ahead)} {'rise' if len(ahead) > 1 else 'rises'}"
    return [f"While {rise}, {found.name} {_verdict(found)}." for found in others]


def _verdict(found: Comparison) -> str:
    mean = found.difference.beyond(0.0)
    pairs = 0 if found.win_rate is None else found.win_rate.beyond(0.5)
    means = {1: "rises too", 0: "is not decided in the mean", -1: "falls: by it the gain is not real"}
    most = {1: ", and wins most pairs", 0: ", and who wins more pairs is not decided", -1: ", and loses most pairs"}
    return means[mean] + ("" if pairs == mean else most[pairs])


def share(found: Estimate | None) -> Share | None:
    """A share as a cell."""
    return None if found is None or found.mean is None else measured_share(found.mean, found.low, found.high)


def with_interval(found: Estimate, signed: bool = False) -> str:
    """A mean with its interval as text."""
    form = "+.3f" if signed else ".3f"
    if found.mean is None:
        return "\u2013"
    known = found.low is not None and found.high is not None
    interval = f" ({found.low:{form}} to {found.high:{form}})" if known else f" ({NEEDS_PROMPTS})"
    return f"{found.mean:{form}}{interval}".replace("-", "\u2212")


def _summary(result: GeneratorComparison) -> Section:
    shown = [
        found for found in result.of_kind("reward", "truth") if found.name not in ("true alignment", "true quality")
    ]
    blocks: list[Block] = [Headlines([_headline(found) for found in shown])] if shown else []
    if result.of_kind("reward", "truth"):
        blocks.append(wins_table(result))
        blocks.append(_means(result))
    lines = [as_written(line) for line in (*verdicts(result), *result.notes)]
    if result.optimised is not None:
        lines.insert(0, f"The tuning's objective: {', '.join(result.optimised)}.")
    if result.of_kind("truth"):
        lines.append(stored_oracle_error().sentence())
    return Section("Is it better?", [*blocks, Text("\n".join(f"- {line}" for line in lines))])


def _headline(found: Comparison) -> Headline:
    wins = found.win_rate
    if wins is None or wins.mean is None:
        return Headline(found.name, "\u2013", f"{found.difference.missing} pairs without a score")
    interval = f"{share_interval_text(wins.low, wins.high, 0)}, "
    return Headline(found.name, f"{100 * wins.mean:.0f} %", f"of pairs won\n{interval}{found.role or _ORACLE}")


def _means(result: GeneratorComparison) -> Table:
    rows: list[list[Cell]] = [
        [found.name, with_interval(found.base), found.base.missing, with_interval(found.tuned), found.tuned.missing]
        for found in result.of_kind("reward", "truth")
    ]
    columns = ["Judge", "Base", "Missing", "Tuned", "Missing"]
    return Table(columns, rows, caption="Means of each side, raw scores; pictures without a score are in none.")


def _composition(result: GeneratorComparison) -> Section:
    text = (
        "Which part of a caption is right: share of the objects with the colour, shape and size asked for, of the "
        "pictures with the number asked for, and, of captions with a relation, of those that show it."
    )
    return Section("Composition", [Text(text), composition_table(result)])


def _groups(result: GeneratorComparison, grouping: str) -> Section:
    groups = [group for group in result.groups if group.grouping == grouping]
    judges = [found.name for found in groups[0].comparisons]
    text = f"Share of pairs that the tuned generator wins, in percent, by {grouping.lower()}."
    if not judges:
        return Section(grouping, [Text("No judge was asked.")])
    return Section(grouping, [Text(text), Table([grouping, "Prompts", *judges], [_group_row(g) for g in groups])])


def _group_row(group: GroupComparison) -> list[Cell]:
    return [group.group, group.prompts, *(share(found.win_rate) for found in group.comparisons)]


def _changes(result: GeneratorComparison) -> Section:
    text = "No reward decides these; over-optimised generators give themselves away by them."
    return Section("What else changed", [Text(text), measures_table(result)])


def _pictures(captions: Sequence[str], base: NDArray[np.uint8], tuned: NDArray[np.uint8]) -> Section:
    rows = [
        ImageRow(caption, [Picture(first, "base"), Picture(second, "tuned")])
        for caption, first, second in zip(captions, base, tuned, strict=True)
    ]
    text = "The first picture of prompts taken at even distances: none was picked."
    return Section("Same prompt, same seed", [Text(text), ImageGrid(rows, columns=3)])


def _provenance(result: GeneratorComparison) -> Section:
    seconds = {"seed": str(result.seed), "seconds": f"{result.seconds:.1f}"}
    return Section("How it was measured", [Code(result.command), Facts(result.settings | result.environment | seconds)])
