"""The report of an evaluation: what a reader wants to know, in the order of the questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from dina_lrm.evaluation.accuracy import convention_named
from dina_lrm.evaluation.paired import JudgeDifference
from dina_lrm.evaluation.plan import Evaluation
from dina_lrm.evaluation.results import Disagreement, EvaluationResult
from dina_lrm.reports import plots, tables
from dina_lrm.reports.blocks import (
    Block,
    Facts,
    Figure,
    Folded,
    Headline,
    Headlines,
    ImageGrid,
    ImageRow,
    Mark,
    Picture,
    Section,
    Text,
    as_written,
)
from dina_lrm.reports.drawing import save_figure
from dina_lrm.reports.first.of_evaluation import evaluation_verdict
from dina_lrm.reports.html import write_report
from dina_lrm.reports.leaderboard import write_leaderboard
from dina_lrm.reports.records import write_record
from dina_lrm.reports.theme import LIGHT
from dina_lrm.reports.titles import title_of
from dina_lrm.screen import number_text

PairImages = Callable[[str, int], tuple[np.ndarray | Image.Image, np.ndarray | Image.Image]]
"""(name of the set, row of the pair) -> its two images."""

_OPEN: Final = 4
"""Pairs that are shown at once; the others are folded."""
_FRAMES: Final[Mapping[Mark, str]] = {"good": "labelled better"}
_DISAGREE: Final = "Where model and label disagree most"
_OWN_LEVEL: Final = "Each model at its own noise level. Chance is 50 %."


def evaluation_sections(
    results: Sequence[EvaluationResult],
    images: PairImages | None = None,
    differences: Sequence[JudgeDifference] = (),
) -> list[Section]:
    """Sections on accuracy, calibration, faults, disagreements and how it was measured.

    The first result is the one looked at closely. Without `images`, disagreements are listed without pictures.
    """
    main = results[0]
    sections = [_summary(main)] if main.tests else []  # none where only the diagnostic was asked for
    if any(measured.disagreements for measured in main.tests):
        sections.append(disagreements_section(main, images))
    if main.tests:
        sections += [Section("Accuracy", [_chart(results)]), _accuracy(results, differences), _calibration(results)]
        sections.append(_scores(main))
    if any(measured.uncertainty for measured in main.tests):
        sections.append(_uncertainty(main))
    if any(measured.diagnostics for measured in main.sets):
        sections.append(_faults(main, folded=bool(main.tests)))
    return [*sections, _provenance(results)]


def write_evaluation(folder: Path, found: Evaluation) -> tuple[Path, Path]:
    """Write evaluation.json, plots, report.html and leaderboard.html into `folder`; returns the two pages."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / "evaluation.json", found.to_dict())
    save_evaluation_plots(folder / "plots", found.results)
    page = write_evaluation_report(folder / "report.html", found.results, found.pictures, found.differences)
    return page, write_leaderboard(folder / "leaderboard.html", found.results, found.differences)


def write_evaluation_report(
    path: Path | str,
    results: Sequence[EvaluationResult],
    images: PairImages | None = None,
    differences: Sequence[JudgeDifference] = (),
) -> Path:
    """The page of one or several models evaluated on the same sets."""
    names = ", ".join(result.model for result in results)
    sections = evaluation_sections(results, images, differences)
    verdict, command = evaluation_verdict(results, differences), results[0].command
    return write_report(path, "Evaluation of " + names, sections, _subtitle(results[0]), verdict, command)


def save_evaluation_plots(folder: Path, results: Sequence[EvaluationResult]) -> list[Path]:
    """The plots of the report as PNG files."""
    main = results[0]
    drawn = {f"faults_{s.name}": plots.diagnostic_plot(s, LIGHT) for s in main.sets if s.diagnostics}
    if main.tests:
        if any(reading.levels for result in results for reading in result.readings):
            drawn["accuracy_over_noise"] = plots.accuracy_over_noise(results, LIGHT)
        drawn |= {
            "models": plots.model_bars(results, LIGHT),
            "score_histograms": plots.score_histograms(main, theme=LIGHT),
            "reliability": plots.reliability_diagram(main, theme=LIGHT),
        }
    for name, figure in drawn.items():
        save_figure(figure, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in drawn]


def _subtitle(result: EvaluationResult) -> str:
    sets = result.tests or result.sets
    pairs = sum(measured.pairs for measured in sets)
    counted = f"{len(sets)} set" + "s" * (len(sets) > 1)
    return f"{pairs:,} pairs in {counted}, {result.convention}, seed {result.seed}"


def _summary(result: EvaluationResult) -> Section:
    items = []
    for measured in result.tests:
        accuracy = measured.at(result.reference).accuracy
        note = f"({accuracy.interval.ends('.1f', percent=True)})"
        if measured.ceiling is not None:
            note += f"\n{100 * accuracy.accuracy / measured.ceiling:.0f} % of the ceiling"
        items.append(Headline(title_of(measured.name), f"{100 * accuracy.accuracy:.1f} %", note))
    text = f"Pairwise accuracy of **{as_written(result.model)}** read at {result.reference.name}."
    return Section("Summary", [Text(text), Headlines(items)])


def _accuracy(results: Sequence[EvaluationResult], differences: Sequence[JudgeDifference]) -> Section:
    rule = convention_named(results[0].convention)
    notes = [f"- {as_written(title_of(s.name))}: {as_written(note)}" for s in results[0].tests for note in s.notes]
    blocks: list[Block] = [tables.accuracy_table(results)]
    if differences:
        blocks.append(tables.difference_table(differences))
    if len(results) > 1 and _over_noise(results):  # else it is the one chart
        blocks.append(Figure(plots.model_bars(results), _OWN_LEVEL))
    blocks.append(Text(f"Counted by the convention `{rule.name}` ({rule.used_by}). " + _ties(rule.label_tie)))
    blocks.append(tables.counts_table(results[0]))
    if notes:
        blocks.append(Text("\n".join(notes)))
    return Section("Accuracy in numbers", blocks, folded=True)


def _chart(results: Sequence[EvaluationResult]) -> Figure:
    """The one picture of the accuracies: over noise levels where several were read, else by judge and set."""
    if not _over_noise(results):
        return Figure(plots.model_bars(results), _OWN_LEVEL)
    return Figure(plots.accuracy_over_noise(results), "Accuracy against the noise level at which the model is read.")


def _over_noise(results: Sequence[EvaluationResult]) -> bool:
    return sum(reading.is_level for reading in results[0].readings) > 1


def _ties(label_tie: float | None) -> str:
    return "Pairs labelled as ties are left out." if label_tie is None else f"A labelled tie earns {label_tie:g}."


def _calibration(results: Sequence[EvaluationResult]) -> Section:
    caption = (
        "Pairs grouped by the probability given to the image that the model prefers. "
        "The bars at the foot show how many."
    )
    truths = [measured.at(results[0].reference).truth for measured in results[0].tests]
    if any(truth is not None and truth.bins for truth in truths):
        caption += " The true probability is known here: its line is free of the noise of labels."
    figure = Figure(plots.reliability_diagram(results[0]), caption)
    return Section("Calibration", [tables.calibration_table(results), figure], folded=True)


def _uncertainty(result: EvaluationResult) -> Section:
    text = "Scores above are means over several noise draws; here is what single draws differ by."
    found = [tables.uncertainty_table(measured) for measured in result.tests if measured.uncertainty]
    return Section("Uncertainty of a noise draw", [Text(text), *found], folded=True)


def _scores(result: EvaluationResult) -> Section:
    caption = f"Raw scores at {result.reference.name} of the preferred and the other image of each pair."
    return Section("Scores", [Figure(plots.score_histograms(result), caption)], folded=True)


def _faults(result: EvaluationResult, folded: bool) -> Section:
    text = "A perfect image against one with a single fault, for the same prompt: how often is the perfect one ahead?"
    blocks: list[Block] = [Text(text)]
    for measured in result.sets:
        if not measured.diagnostics:
            continue
        blocks.append(Figure(plots.diagnostic_plot(measured), f"{title_of(measured.name)}, sorted by accuracy."))
        blocks.append(tables.fault_table(measured))
    return Section("Faults seen and missed", blocks, folded)


def disagreements_section(result: EvaluationResult, images: PairImages | None) -> Section:
    """The pairs in which the model is most certain and the label says the opposite, with their pictures if given."""
    text = (
        "The pairs in which the model is most certain and the label says the opposite. "
        "Labels are noisy: where the true probability is known, it is given too."
    )
    shown: list[Block] = [Text(text)]
    more: list[Block] = []
    for measured in result.tests:
        if not measured.disagreements:
            continue
        if images is None:
            more.append(tables.disagreement_table(measured))
            continue
        rows = [_disagreement_row(pair, images(measured.name, pair.pair)) for pair in measured.disagreements]
        heading = Text(f"### {as_written(title_of(measured.name))}")
        if len(shown) == 1:
            shown += [heading, ImageGrid(rows[:_OPEN], columns=2, frames=_FRAMES)]
            rows = rows[_OPEN:]
        more += [heading, ImageGrid(rows, columns=2)] if rows else []
    return Section(_DISAGREE, [*shown, Folded("All of these pairs", more)] if more else shown)


def _disagreement_row(pair: Disagreement, sides: tuple[np.ndarray | Image.Image, np.ndarray | Image.Image]) -> ImageRow:
    first_wins = pair.preference > 0.5
    scored = ((pair.score_a, pair.probability), (pair.score_b, 1 - pair.probability))
    captions = [f"score {number_text(score, '+.2f')}\nmodel {100 * p:.0f} %" for score, p in scored]
    if pair.true_probability is not None:
        truths = (pair.true_probability, 1 - pair.true_probability)
        captions = [f"{text}\ntruth {100 * p:.0f} %" for text, p in zip(captions, truths, strict=True)]
    return ImageRow(
        pair.prompt,
        [
            Picture(image, text, "good" if wins else "")
            for image, text, wins in zip(sides, captions, (first_wins, not first_wins), strict=True)
        ],
    )


def _provenance(results: Sequence[EvaluationResult]) -> Section:
    main = results[0]
    hashes = {f"data hash, {title_of(s.name)}": s.data_hash for s in main.sets}
    seconds = sum(result.seconds for result in results)
    facts = main.environment | {"seed": str(main.seed), "seconds": f"{seconds:.1f}"} | hashes
    return Section("How it was measured", [Facts(facts)], folded=True)
