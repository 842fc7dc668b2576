"""The most surprising pairs of a set: where a model is most certain and the label says the opposite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.evaluate import evaluate_judge
from dina_lrm.evaluation.judges import LatentJudge
from dina_lrm.evaluation.named_sets import made_set, named_sets
from dina_lrm.evaluation.sets import EvaluationSet, decoded_pair
from dina_lrm.reports.blocks import Section, Text, as_written
from dina_lrm.reports.evaluation import PairImages, disagreements_section
from dina_lrm.reports.first.of_evaluation import evaluation_verdict
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.reports.tables import accuracy_table, counts_table
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.typed import DinaError

MOST_PAIRS: Final = 2_000


def surprising_pairs(
    model: LatentRewardModel, name: str, on: str, pairs: int = 500, seed: int = 0, progress: TitledProgress = silent
) -> tuple[list[Section], Verdict]:
    """Score pairs of a set and show those that contradict the model most, with their pictures and the accuracy.

    `on` is one set as `dina-lrm evaluate --on` names it: "synthetic:SET", a file of comparisons, a cache. `pairs` are
    those of a synthetic set, and the first of a file; a cache is read whole. Raises ValueError as reading the set does.
    """
    if not 1 <= pairs <= MOST_PAIRS:
        raise DinaError(f"pairs {pairs}; accepted: whole numbers from 1 to {MOST_PAIRS:,}")
    named = named_sets(on, option="set")
    if len(named) > 1:
        raise DinaError(f"set {on}: names {len(named)} sets; accepted: one, such as {named[0].word}")
    item, notes = _first(made_set(named[0], lambda: model.backbone, pairs, seed), pairs)
    judge = LatentJudge(model, name, ensembles=(), batch_size=16)
    with progress("pairs judged") as report:
        result = evaluate_judge(judge, {item.name: item}, seed, report)
    sections = [
        _shown(item, disagreements_section(result, _pictures(model, item)), bool(result.tests[0].disagreements))
    ]
    told = [*notes, *result.tests[0].notes]
    numbers = Section("In numbers", [accuracy_table([result]), counts_table(result)])
    if told:
        sections.append(Section("Notes", [Text("\n".join(f"- {as_written(note)}" for note in told))]))
    return [*sections, numbers], evaluation_verdict([result])


def _first(item: EvaluationSet, pairs: int) -> tuple[EvaluationSet, Sequence[str]]:
    """The first pairs of a set of plain comparisons, and a sentence where that is not all of it."""
    data = item.data
    if not isinstance(data, PlainComparisons) or len(data) <= pairs:
        return item, ()
    return replace(item, data=PlainComparisons(data.comparisons[:pairs])), [
        f"The first {pairs:,} of {len(data):,} pairs."
    ]


def _pictures(model: LatentRewardModel, item: EvaluationSet) -> PairImages:
    own = item.pictures
    if own is not None:
        return lambda _, pair: own(pair)
    return lambda _, pair: decoded_pair(model, item.encoded, pair)


def _shown(item: EvaluationSet, found: Section, any_there: bool) -> Section:
    if any_there:
        return found
    return Section(found.title, [Text(f"No pair of {as_written(item.name)} contradicts the model.")])
