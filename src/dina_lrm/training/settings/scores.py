"""What is said of named scores in a run, checked. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from dina_lrm.heads.names import check_known
from dina_lrm.typed import require


def check_score_settings(
    scores: Sequence[str], weights: Mapping[str, float], teachers: Mapping[str, str], teacher: str | None
) -> None:
    """Raise ValueError for weights or teachers of scores that there are not, and where nothing would be learned."""
    accepted = scores or ("none, without model.scores",)
    for setting, names in (("score_weights", weights), ("teacher.of", teachers)):
        for name in names:
            check_known(f"objective.{setting}", name, accepted)
    for name, weight in weights.items():
        require(0 <= weight < math.inf, f"objective.score_weights.{name}", weight, "a finite number of at least 0")
    learned = not scores or any(weights.get(name, 1.0) > 0 for name in scores)
    require(learned, "objective.score_weights", dict(weights), "at least one score above 0")
    told = "none with model.scores, whose teachers are objective.teacher.of"
    require(not scores or teacher is None, "objective.teacher.name", teacher, told)
