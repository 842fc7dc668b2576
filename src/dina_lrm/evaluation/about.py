"""A set as it judges one named score: by what it says of that score, where it says anything."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.named_sets import pair_pictures
from dina_lrm.evaluation.rendered import RenderedComparisons
from dina_lrm.evaluation.sets import EvaluationSet, Part
from dina_lrm.heads.names import OVERALL
from dina_lrm.reward_model.model import LatentRewardModel

_PLAIN: Final = "it says nothing of {!r} by name: measured against its plain preferences"
_SOME: Final = "{} of its {} comparisons say something of {!r}; the others are left out"


def set_for(item: EvaluationSet, model: LatentRewardModel | None) -> EvaluationSet:
    """The set that `model`'s main score is measured on: of a model with named scores, what is said of that one.

    A set that says nothing of it by name is measured by its plain preferences, and says so. The pictures of a synthetic
    set are judged by the truth about that score, with its own ceiling.
    """
    if model is None or not model.config.scores or model.weights:
        return item
    score = model.config.main
    if isinstance(item.data, RenderedComparisons):
        return _of_the_world(item, item.data, score)
    said = item.data.pairs.counts().get(score, 0)
    by_name = any(item.data.pairs.preferences)
    if not by_name and score == OVERALL:
        return item
    if said == 0:
        return replace(item, notes=(*item.notes, _PLAIN.format(score)))
    notes = item.notes if said == len(item.data) else (*item.notes, _SOME.format(said, len(item.data), score))
    data = item.data.about(score)
    pictures = partial(pair_pictures, data) if isinstance(data, PlainComparisons) else None
    return replace(
        item,
        name=f"{item.name}-{score}",
        data=data,
        ceiling=None,
        true_probability=None,
        groups=None,
        notes=notes,
        pictures=pictures,
        part=Part(item.data, item.data.pairs.labels[score].isfinite().nonzero().flatten().numpy()),
    )


def _of_the_world(item: EvaluationSet, data: RenderedComparisons, score: str) -> EvaluationSet:
    if score == OVERALL:
        return item
    if score not in data.drawn.axes:
        return replace(item, notes=(*item.notes, _PLAIN.format(score)))
    about = data.about(score)
    return replace(
        item,
        name=f"{item.name}-{score}",
        data=about,
        ceiling=about.drawn.ceiling,
        true_probability=about.drawn.probability,
        part=Part(data, np.arange(len(data))),
    )
