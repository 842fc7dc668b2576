"""Judges against the first of them, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dina_lrm.evaluation.evaluate import JudgedSet, prompt_ids
from dina_lrm.evaluation.paired import PairedDifference, paired_difference
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.typed import to_plain


@dataclass(frozen=True)
class JudgeDifference:
    """The accuracy of `model` minus that of `against` on a set, both at their reference reading."""

    model: str
    against: str
    set: str
    found: PairedDifference

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def judge_differences(
    judged: Mapping[str, Mapping[str, JudgedSet]],
    sets: Mapping[str, EvaluationSet],
    convention: str = "micro_strict",
    seed: int = 0,
) -> list[JudgeDifference]:
    """Every later judge against the first, on every set that both judged; sets of faults alone are left out."""
    names = list(judged)
    found = []
    for name in names[1:]:
        for title, item in sets.items():
            both = [judged[names[0]].get(title), judged[name].get(title)]
            if item.diagnostic_only or both[0] is None or both[1] is None:
                continue
            preference = item.data.preference.double().numpy()
            compared = paired_difference(
                both[1].margins, both[0].margins, preference, prompt_ids(item.data), convention, seed=seed
            )
            found.append(JudgeDifference(name, names[0], title, compared))
    return found
