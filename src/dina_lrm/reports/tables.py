"""Tables of an evaluation, for pages and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dina_lrm.evaluation.accuracy import PairwiseAccuracy
from dina_lrm.evaluation.diagnostics import ALL, SEVERITIES
from dina_lrm.evaluation.paired import JudgeDifference
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.results import EvaluationResult, ReadingResult, SetResult
from dina_lrm.reports.blocks import Cell, Share, Table
from dina_lrm.reports.titles import title_of
from dina_lrm.screen import number_text


def evaluation_shown(results: Sequence[EvaluationResult]) -> Iterator[Table | str]:
    """Yield what is shown at once: accuracies of all results; counts, faults and notes of the first of them."""
    main = results[0]
    if main.tests:
        yield accuracy_table(results)
        yield counts_table(main)
    for measured in main.sets:
        if measured.diagnostics:
            yield fault_table(measured)
        yield from (f"{measured.name}: {note}" for note in measured.notes)


def accuracy_table(results: Sequence[EvaluationResult]) -> Table:
    """Models and readings down, sets across, with the ceiling last and the best of each set in bold.

    Several sets have their plain mean beside them, for what was measured on all of them.
    """
    sets = tested_sets(results)
    lines = [(result, reading) for result in results for reading in result.readings]
    found = [[_accuracy(result, s.name, reading) for s in sets] for result, reading in lines]
    means = [mean_accuracy(result, reading, sets) for result, reading in lines] if len(sets) > 1 else []
    best_mean = max((mean for mean in means if mean is not None), default=None)
    best = [max(a.accuracy for a in column if a is not None) for column in zip(*found, strict=True)]
    rows: list[list[Cell]] = []
    for number, ((result, reading), row) in enumerate(zip(lines, found, strict=True)):
        shares = [None if a is None else Share(a.interval, best=a.accuracy == best[i]) for i, a in enumerate(row)]
        mean = means[number] if means else None
        shares += [None if mean is None else Share(mean, best=mean == best_mean)] if means else []
        rows.append([result.model if reading == result.readings[0] else "", reading.name, *shares])
    if any(s.ceiling is not None for s in sets):
        ceilings = [None if s.ceiling is None else Share(s.ceiling) for s in sets]
        rows.append(["", "Bayes ceiling", *ceilings, *([None] if means else [])])
    return _named_by_model(
        results,
        Table(
            ["Model", "Noise level", *(title_of(s.name) for s in sets), *(["Mean"] if means else [])],
            rows,
            caption="Pairwise accuracy in percent, 95 % bootstrap interval below it, best of each set in bold.",
        ),
    )


def tested_sets(results: Sequence[EvaluationResult]) -> list[SetResult]:
    """The sets that any of the results is about, each as the first judge that was measured on it saw it."""
    sets: dict[str, SetResult] = {}
    for result in results:
        for measured in result.tests:
            sets.setdefault(measured.name, measured)
    return list(sets.values())


def mean_accuracy(result: EvaluationResult, reading: Reading, sets: Sequence[SetResult]) -> float | None:
    """The mean of the accuracies on `sets`, each counting alike; None where one of them was not measured."""
    found = [_accuracy(result, chosen.name, reading) for chosen in sets]
    known = [accuracy.accuracy for accuracy in found if accuracy is not None]
    return sum(known) / len(known) if known and len(known) == len(found) else None


def accuracy_means(results: Sequence[EvaluationResult]) -> dict[str, dict[str, float | None]]:
    """Mean accuracy over the sets by model and reading; None where a set failed."""
    sets = tested_sets(results)
    return {
        result.model: {reading.name: mean_accuracy(result, reading, sets) for reading in result.readings}
        for result in results
    }


def _accuracy(result: EvaluationResult, name: str, reading: Reading) -> PairwiseAccuracy | None:
    measured = result.find(name)
    return None if measured is None else measured.at(reading).accuracy


def difference_table(differences: Sequence[JudgeDifference]) -> Table:
    """Later judges against the first: difference in accuracy with its interval, and McNemar's test."""
    rows: list[list[Cell]] = []
    for row in differences:
        d = row.found
        gap = Share(d.interval, signed=True)
        verdict = "not decided" if not d.decided else "ahead" if d.difference > 0 else "behind"
        p = "< 0.001" if d.p_value < 0.001 else number_text(d.p_value, ".3f")
        rows.append([row.model, title_of(row.set), gap, verdict, p, d.only_first, d.only_second, d.pairs])
    columns = ["Model", "Set", "Points", "", "McNemar p", "Only it right", "Only the first right", "Pairs"]
    note = (
        f"Accuracy minus that of {differences[0].against} on the same pairs, in points; 95 % bootstrap interval, pairs "
        "of a prompt drawn together."
    )
    return Table(columns, rows, caption=f"Against {differences[0].against}, pair by pair.", note=note)


def uncertainty_table(measured: SetResult) -> Table:
    """Table 4 of the paper: how much a decision depends on the noise that was drawn."""
    rows: list[list[Cell]] = [
        [row.reading.name, row.vr_common, row.vr_independent, row.margin, row.variance] for row in measured.uncertainty
    ]
    columns = ["Noise level", "VR, common noise", "VR, independent noise", "Mean margin", "Variance of a score"]
    note = (
        f"{measured.uncertainty[0].draws} noise draws. VR: mean over pairs of min(p, 1 - p), p the share of draws "
        "in which the first image is ahead. Common noise: both images of a pair see the same draw."
    )
    return Table(columns, rows, caption=title_of(measured.name), note=note)


def counts_table(result: EvaluationResult) -> Table:
    """What the accuracies are made of: pairs, ties, missing."""
    rows: list[list[Cell]] = []
    for measured in result.tests:
        counted = measured.at(result.reference).accuracy
        ties = [counted.label_ties, counted.score_ties]
        missing = counted.missing + measured.missing
        name = title_of(measured.name)
        rows.append([name, measured.pairs, counted.counted, *ties, missing, measured.images, counted.prompts])
    return Table(["Set", "Pairs", "Counted", "Label ties", "Score ties", "Missing", "Images", "Prompts"], rows)


def calibration_table(results: Sequence[EvaluationResult]) -> Table:
    """Calibration of each model at its reference reading; the last columns where the truth is known."""
    rows: list[list[Cell]] = []
    for result in results:
        for measured in result.tests:
            reading = measured.at(result.reference)
            c, truth = reading.calibration, reading.truth
            to_truth: list[Cell] = [None, None] if truth is None else [Share(truth.ece), truth.kl]
            name = result.model if measured is result.tests[0] else ""
            shares = [Share(c.interval), Share(c.ece_floor)]
            rows.append([name, title_of(measured.name), *shares, c.brier, c.log_score, *to_truth, *_scaled(reading)])
    columns = ["Model", "Set", "ECE %", "of a perfect model", "Brier", "Log score", "ECE to truth %", "KL to truth"]
    columns += ["Temperature", "ECE with it %", "to truth %"]
    note = (
        "ECE is biased upwards: a perfectly calibrated model shows the value beside it at this number of pairs. "
        "Lower is better in every column but the temperature, which margins are divided by; the columns after it are "
        "measured with that of the other half of the prompts."
    )
    return _named_by_model(results, Table(columns, rows, note=note))


def _scaled(reading: ReadingResult) -> list[Cell]:
    scaled = reading.scaled
    if scaled.calibration is None:
        return [scaled.temperature, None, None]
    met = scaled.calibration
    truth = None if scaled.truth is None else Share(scaled.truth.ece)
    return [scaled.temperature, Share(met.interval), truth]


def fault_table(measured: SetResult) -> Table:
    """How often a perfect image beats one fault: one line a kind, severities across where they differ."""
    rows = {(row.kind, row.severity): row for row in measured.diagnostics}
    severities = [name for name in (ALL, *SEVERITIES) if any(severity == name for _, severity in rows)]
    lines: list[list[Cell]] = []
    for kind in dict.fromkeys(row.kind for row in measured.diagnostics):
        found = [rows.get((kind, severity)) for severity in severities]
        shares = [None if row is None else Share(row.interval) for row in found]
        lines.append([kind, *shares, rows[kind, ALL].pairs])
    columns = ["Fault", *(f"{title_of(severity)} %" for severity in severities), "Pairs"]
    return Table(columns, lines, note="Wilson's 95 % interval below each share.")


def disagreement_table(measured: SetResult) -> Table:
    """The pairs in which model and label disagree most, as text."""
    rows: list[list[Cell]] = []
    for pair in measured.disagreements:
        truth = None if pair.true_probability is None else Share(pair.true_probability)
        shares = [Share(pair.probability), Share(pair.preference), truth]
        rows.append([pair.prompt, pair.score_a, pair.score_b, *shares])
    columns = ["Prompt", "Score A", "Score B", "P(A) model %", "P(A) label %", "P(A) true %"]
    return Table(columns, rows, caption=title_of(measured.name))


def _named_by_model(results: Sequence[EvaluationResult], table: Table) -> Table:
    """The table without its first column, the model, where there is only one."""
    if len(results) > 1:
        return table
    return Table(table.columns[1:], [row[1:] for row in table.rows], table.caption, table.note)
