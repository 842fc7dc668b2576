"""The verdict of an evaluation: whether the first judge is better than a coin, and which judge is ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dina_lrm.evaluation.diagnostics import ALL
from dina_lrm.evaluation.paired import JudgeDifference
from dina_lrm.evaluation.results import EvaluationResult
from dina_lrm.reports.first.verdicts import Verdict, accuracy_verdict, ahead_verdict, faults_verdict
from dina_lrm.reports.titles import title_of


def evaluation_verdict(results: Sequence[EvaluationResult], differences: Sequence[JudgeDifference] = ()) -> Verdict:
    """Whether the first judge is better than a coin, and which judge is ahead where they were compared pair by pair."""
    main = results[0]
    if not main.tests:
        return _fault_verdict(main)
    measured = [(found, found.at(main.reference).accuracy.interval) for found in main.tests]
    verdict = accuracy_verdict(main.model, [(title_of(one.name), found, one.ceiling) for one, found in measured])
    if not differences:
        return verdict
    ahead = ahead_verdict(main.model, [(row.model, title_of(row.set), row.found.interval) for row in differences])
    return replace(verdict, text=f"{ahead.text} {verdict.text}")


def _fault_verdict(main: EvaluationResult) -> Verdict:
    rows = [row for measured in main.sets for row in measured.diagnostics if row.severity == ALL]
    return faults_verdict([(row.kind, row.interval) for row in rows])
