"""The report of a tuned generator beside its base: who wins by whom, what is true, what changed, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from dina_lrm.evaluation.generators.comparison import GeneratorComparison, GroupComparison, MeasureComparison
from dina_lrm.evaluation.interval import Interval
from dina_lrm.reports.blocks import (
    Block,
    Cell,
    Facts,
    Figure,
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
)
from dina_lrm.reports.first.verdicts import Verdict, Voice, Witness, change_verdict
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.reports.html import write_report
from dina_lrm.reports.plots import win_plot
from dina_lrm.reports.records import write_record
from dina_lrm.reports.titles import title_of
from dina_lrm.screen import NO_NUMBER
from dina_lrm.synthetic.generated import stored_oracle_error

if TYPE_CHECKING:
    from dina_lrm.evaluation.generators.plan import GeneratorEvaluation

PICTURES: Final = 12
"""Prompts that are shown with a picture of each side."""
_ORACLE: Final = "oracle"
_TRUTH: Final = "true utility"


def write_generator_evaluation(folder: Path, found: GeneratorEvaluation) -> Path:
    """Write evaluation.json, gallery.png and report.html, with pictures of some prompts; returns the page."""
    prompts = found.pictures.prompts
    numbers = np.linspace(0, len(prompts) - 1, min(PICTURES, len(prompts))).round().astype(int).tolist()
    captions = [prompts[number] for number in numbers]
    shown = {name: np.stack([samples.picture(n) for n in numbers]) for name, samples in found.stored.items()}
    write_record(folder / "evaluation.json", found.result.to_dict())
    save_gallery(gallery(shown, captions, across=3), folder / "gallery.png")
    return write_generator_report(folder / "report.html", found.result, captions, shown["base"], shown["tuned"])


def write_generator_report(
    path: Path, result: GeneratorComparison, captions: Sequence[str], base: NDArray[np.uint8], tuned: NDArray[np.uint8]
) -> Path:
    """The page; `base` and `tuned` are pictures of the same prompts, `captions`, and seeds."""
    sections = [_summary(result), _pictures(captions, base, tuned), *_winning(result), _judges(result)]
    if result.of_kind("attribute"):
        sections.append(_composition(result))
    sections += [_groups(result, name) for name in dict.fromkeys(group.grouping for group in result.groups)]
    sections += [_changes(result), _provenance(result)]
    subtitle = f"{result.prompts} prompts of {result.prompt_set}, {result.images_per_prompt} pictures each, seed "
    return write_report(
        path,
        f"{result.tuned} against {result.base}",
        sections,
        f"{subtitle}{result.seed}",
        generator_verdict(result),
        result.command,
    )


def generator_verdict(result: GeneratorComparison) -> Verdict:
    """Whether the tuned generator is better, by the truth where it is known, else by judges it was not tuned for."""
    truth = [found for found in result.of_kind("truth") if found.name == _TRUTH]
    heard = [_witness(found, result) for found in (*truth, *result.of_kind("reward"))]
    return change_verdict(heard, result.prompts, _plural(result.prompts, "prompt"))


def _witness(found: MeasureComparison, result: GeneratorComparison) -> Witness:
    voice: Voice = "truth" if found.kind == "truth" else found.role or "unknown"
    pairs = 0 if found.win_rate is None else found.win_rate.n
    over = _plural(pairs, "prompt" if result.images_per_prompt == 1 else "pair")
    return Witness(found.name, voice, found.difference, found.win_rate, f"{pairs:,} {over}")


def _plural(number: int, word: str) -> str:
    return word if number == 1 else f"{word}s"


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
            found.base.value,
            found.tuned.value,
            found.difference.text("+.3f"),
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
        rows.append([found.name, share(found.base), share(found.tuned), Share(gap, signed=True), gap.n])
    return Table(["Asked for", "Base, %", "Tuned, %", "Difference", "Pairs"], rows, "Right, by the oracle.")


def measures_table(result: GeneratorComparison) -> Table:
    """Measures of the pictures that are neither better nor worse by themselves."""
    rows: list[list[Cell]] = [
        [title_of(found.name), found.base.value, found.tuned.value, found.difference.text("+.3f")]
        for found in result.of_kind("measure")
    ]
    return Table(["Measure", "Base", "Tuned", "Difference"], rows)


def verdicts(result: GeneratorComparison) -> list[str]:
    """What the intervals decide of the gain, in sentences; nothing where no optimised reward rises among the judges.

    A mean may hold while most pairs are lost, where a few are won by much: both are said.
    """
    judged = result.of_kind("reward", "truth")
    ahead = [found.name for found in judged if found.role == "optimised" and found.difference.beyond() > 0]
    if not ahead:
        return []
    others = [found for found in judged if found.role != "optimised"]
    rise = f"{' and '.join(ahead)} {'rise' if len(ahead) > 1 else 'rises'}"
    return [f"While {rise}, {found.name} {_verdict(found)}." for found in others]


def _verdict(found: MeasureComparison) -> str:
    mean = found.difference.beyond()
    pairs = 0 if found.win_rate is None else found.win_rate.beyond(0.5)
    means = {1: "rises too", 0: "is not decided in the mean", -1: "falls: by it the gain is not real"}
    most = {1: ", and wins most pairs", 0: ", and who wins more pairs is not decided", -1: ", and loses most pairs"}
    return means[mean] + ("" if pairs == mean else most[pairs])


def share(found: Interval | None) -> Share | None:
    """A share as a cell."""
    return None if found is None else Share(found)


def _summary(result: GeneratorComparison) -> Section:
    shown = [
        found for found in result.of_kind("reward", "truth") if found.name not in ("true alignment", "true quality")
    ]
    blocks: list[Block] = [Headlines([_headline(found) for found in shown])] if shown else []
    lines = [as_written(line) for line in result.notes]
    if result.optimised is not None:
        lines.insert(0, f"The tuning's objective: {', '.join(result.optimised)}.")
    return Section("Is it better?", [*blocks, Text("\n".join(f"- {line}" for line in lines))])


def _winning(result: GeneratorComparison) -> list[Section]:
    """The one chart: the share of pairs won by every judge that gave scores."""
    known = [found for found in result.of_kind("reward", "truth") if found.win_rate and found.win_rate.n]
    if not known:
        return []
    caption = "Share of pairs that the tuned generator wins, with 95 % intervals. Dotted: a tie."
    return [Section("Who wins", [Figure(win_plot(known), caption)])]


def _judges(result: GeneratorComparison) -> Section:
    blocks: list[Block] = [wins_table(result), _means(result)] if result.of_kind("reward", "truth") else []
    lines = [as_written(line) for line in verdicts(result)]
    if result.of_kind("truth"):
        lines.append(stored_oracle_error().sentence())
    return Section("Judges in numbers", [*blocks, Text("\n".join(f"- {line}" for line in lines))], folded=True)


def _headline(found: MeasureComparison) -> Headline:
    wins = found.win_rate
    if wins is None or wins.value is None:
        return Headline(found.name, NO_NUMBER, f"{found.difference.missing} pairs without a score")
    told = f"of pairs won ({wins.ends('.0f', percent=True)})\n{found.role or _ORACLE}"
    return Headline(found.name, f"{wins.middle('.0f', percent=True)} %", told)


def _means(result: GeneratorComparison) -> Table:
    rows: list[list[Cell]] = [
        [found.name, found.base.text(".3f"), found.base.missing, found.tuned.text(".3f"), found.tuned.missing]
        for found in result.of_kind("reward", "truth")
    ]
    columns = ["Judge", "Base", "Missing", "Tuned", "Missing"]
    return Table(columns, rows, caption="Means of each side, raw scores; pictures without a score are in none.")


def _composition(result: GeneratorComparison) -> Section:
    text = (
        "Which part of a caption is right: share of the objects with the colour, shape and size asked for, of the "
        "pictures with the number asked for, and, of captions with a relation, of those that show it."
    )
    return Section("Composition", [Text(text), composition_table(result)], folded=True)


def _groups(result: GeneratorComparison, grouping: str) -> Section:
    groups = [group for group in result.groups if group.grouping == grouping]
    judges = [found.name for found in groups[0].comparisons]
    text = f"Share of pairs that the tuned generator wins, in percent, by {grouping.lower()}."
    if not judges:
        return Section(grouping, [Text("No judge was asked.")], folded=True)
    table = Table([grouping, "Prompts", *judges], [_group_row(group) for group in groups])
    return Section(grouping, [Text(text), table], folded=True)


def _group_row(group: GroupComparison) -> list[Cell]:
    return [group.group, group.prompts, *(share(found.win_rate) for found in group.comparisons)]


def _changes(result: GeneratorComparison) -> Section:
    text = "No reward decides these; over-optimised generators give themselves away by them."
    return Section("What else changed", [Text(text), measures_table(result)], folded=True)


def _pictures(captions: Sequence[str], base: NDArray[np.uint8], tuned: NDArray[np.uint8]) -> Section:
    rows = [
        ImageRow(caption, [Picture(first, "base"), Picture(second, "tuned")])
        for caption, first, second in zip(captions, base, tuned, strict=True)
    ]
    text = "The first picture of prompts taken at even distances: none was picked."
    return Section("Same prompt, same seed", [Text(text), ImageGrid(rows, columns=3)])


def _provenance(result: GeneratorComparison) -> Section:
    seconds = {"seed": str(result.seed), "seconds": f"{result.seconds:.1f}"}
    facts = Facts(result.settings | result.environment | seconds)
    return Section("How it was measured", [facts], folded=True)
