"""Everything that two sides say about hacking."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.evaluation.generators.comparison import GeneratorComparison, compare
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.studio.hacked.sides import Sides
from dina_lrm.studio.hacked.suspicious import Suspects, suspects
from dina_lrm.studio.hacked.symptoms import Symptom, symptoms
from dina_lrm.studio.hacked.verdict import hacking_verdict


@dataclass(frozen=True, eq=False)
class HackingFinding:
    """The verdict with its evidence: comparisons by every judge and measure, symptoms, suspicious pictures."""

    sides: Sides
    result: GeneratorComparison
    symptoms: tuple[Symptom, ...]
    verdict: Verdict
    suspects: Suspects


def hacking_of(sides: Sides, seed: int = 0) -> HackingFinding:
    """Compare both sides, intervals by a bootstrap of `seed`, and decide."""
    comparisons = tuple(compare(each, seed) for each in sides.values)
    found = tuple(symptoms(sides.values, comparisons))
    result = GeneratorComparison(
        base=sides.base,
        tuned=sides.tuned,
        prompt_set="these pictures",
        prompts=sides.drawn,
        images_per_prompt=sides.per_prompt,
        seed=seed,
        settings=dict(sides.settings or {}),
        optimised=sides.optimised,
        comparisons=comparisons,
        groups=(),
        notes=sides.notes,
    )
    return HackingFinding(sides, result, found, hacking_verdict(comparisons, found), suspects(sides))
