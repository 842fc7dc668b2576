"""Why a picture has its score: everything at once."""

from __future__ import annotations

from dataclasses import dataclass

from dina_lrm.pictures.sources import GivenPicture
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.progress import TitledProgress, silent
from dina_lrm.studio.why.given import GivenPair, Reading, given_pair
from dina_lrm.studio.why.levels import LevelCurve, level_curve
from dina_lrm.studio.why.maps import PictureMap, attention_map, gradient_map
from dina_lrm.studio.why.score import PictureScore, picture_score
from dina_lrm.studio.why.words import EditEffect, NotRead, effects_of_edits, not_read


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found; `reference` and its curve are None without a picture to compare with."""

    pair: GivenPair
    score: PictureScore
    curve: LevelCurve
    gradient: PictureMap
    attention: PictureMap | None
    effects: list[EditEffect]
    not_read: NotRead
    reference: GivenPair | None = None
    reference_curve: LevelCurve | None = None


def explain(
    model: LatentRewardModel,
    picture: GivenPicture,
    prompt: str,
    reference: GivenPicture | None = None,
    reading: Reading | None = None,
    progress: TitledProgress = silent,
) -> Explanation:
    """Explain the score of a picture for a prompt, beside a reference picture for the same prompt if there is one.

    Costs about 12 + words passes of the backbone a draw, and a gradient. Raises ValueError for what is no picture, an
    empty prompt, and a level or number of draws that cannot be.
    """
    asked = reading or Reading()
    asked.at(model)
    with progress("pictures read"):
        pair = given_pair(model, picture, prompt)
        other = None if reference is None else given_pair(model, reference, prompt)
    with progress("score"):
        score = picture_score(model, pair, asked, other)
    with progress("draws scored over noise levels") as report:
        curve = level_curve(model, pair, asked, progress=report)
    other_curve = None
    if other is not None:
        with progress("draws of the reference") as report:
            other_curve = level_curve(model, other, asked, progress=report)
    with progress("draws of the gradient") as report:
        gradient = gradient_map(model, pair, asked, report)
    with progress("draws of the attention") as report:
        attention = attention_map(model, pair, asked, report)
    with progress("edits of the prompt scored") as report:
        effects = effects_of_edits(model, pair, asked, report)
    return Explanation(
        pair, score, curve, gradient, attention, effects, not_read(model, pair.prompt), other, other_curve
    )
