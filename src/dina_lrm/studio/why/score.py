"""The score of a picture for a prompt: raw, as a z-score, and as the chance to be preferred to another picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.studio.why.given import GivenPair, Reading, scores_of_draws


@dataclass(frozen=True)
class PictureScore:
    """The score at a level: that of the first draw, which `dina-lrm score` gives too, and its spread over the draws.

    `z` is the score over the scores of the training. `win` is P(preferred to the reference picture), the mean of its
    probabilities over the draws, None without one; `reference` is the raw score of that. `named` has raw score and z
    of every named score of the model, by the first draw; none where it has a single one.
    """

    level: float
    raw: float
    z: float
    deviation: float | None
    """Standard deviation over the draws; None for a single one."""
    draws: int
    reference: float | None = None
    win: float | None = None
    named: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def picture_score(
    model: LatentRewardModel, pair: GivenPair, reading: Reading, reference: GivenPair | None = None
) -> PictureScore:
    """Score a pair, and a reference picture for the same prompt by the same draws."""
    level, scores = reading.at(model), torch.from_numpy(scores_of_draws(model, pair, reading))
    found = PictureScore(
        level=level,
        raw=float(scores[0]),
        z=float(model.normalize(scores[0])),
        deviation=float(scores.std()) if len(scores) > 1 else None,
        draws=reading.draws,
        named=_named(model, pair, reading),
    )
    if reference is None:
        return found
    others = torch.from_numpy(scores_of_draws(model, reference, reading))
    win = model.margin_probability((scores - others).float(), level).mean()
    return PictureScore(**{**vars(found), "reference": float(others[0]), "win": float(win)})


@torch.no_grad()
def _named(model: LatentRewardModel, pair: GivenPair, reading: Reading) -> dict[str, tuple[float, float]]:
    """Raw score and z by name, from one pass."""
    if not model.config.scores:
        return {}
    noise = reading.noise(pair.latents)[:1]
    found = model.latent_scores(pair.latents, pair.conditioning, reading.at(model), noise)
    scales = model.config.scales
    return {name: (float(one), (float(one) - scales[name].mean) / scales[name].std) for name, one in found.items()}
