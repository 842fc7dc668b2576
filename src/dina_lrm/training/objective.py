r"""The loss of a batch of comparisons (paper, algorithm 1), as a pure function.

    t_g ~ q(t),  eps_g ~ N(0, I)                one draw a prompt group g; K levels where they are read together
    x_t = alpha(t_g) x_0 + sigma(t_g) eps_g     every image of the batch once
    r   = model(x_t, t_g, conditioning)         one forward over all images of a size
    m   = r[first] - r[second]                  for each judgement: a pair, a score and what is said of them
    L   = sum_i w_i l(m_i, s_i, y_i) / sum_i w_i             l: fidelity loss or NLL under the preference model
    s_i = sigma(t_i), over K levels the root of the mean square: the variance is the mean of theirs, as in scoring

Both images of a pair share the noise level, since they share the group, and the noise where they have one size: a draw
is a function of (seed, step, prompt, shape).

Heterogeneous pairs (LRM, arXiv 2502.01051) also compare every image with itself at a higher level t' = t + gap
and the same noise; the cleaner state is the preferred one. With h(a) = r(a, t) - r(a, t'), their term is

    l_i += weight / 2 [l(h(first_i), s'_i, 1) + l(h(second_i), s'_i, 1)],    s'_i^2 = (sigma(t)^2 + sigma(t')^2) / 2
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.batch import ComparisonBatch, Judgements, SizedImages
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.training.config import HeterogeneousSettings
from dina_lrm.typed import DinaError

Scorer = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(noisy latents, noise level of each, conditioning) to raw scores, a column for each: a reward model, or a wrapper."""


@dataclass(frozen=True)
class LossOutput:
    """What one forward over a batch says. Ties (preference 0.5) count in the loss, never in the accuracy."""

    loss: Float[Tensor, ""]
    pair_loss: Float[Tensor, " judgements"]
    """Each judgement's term of the loss, that of its heterogeneous pairs included."""
    scores: Float[Tensor, "images scores"]
    margin: Float[Tensor, " judgements"]
    decided: Bool[Tensor, " judgements"]
    """True where the label is no tie."""
    correct: Bool[Tensor, " judgements"]
    """True where the label is no tie and the preferred image has the higher score."""
    judged: Judgements
    """The pair and the score that each of them is about: with a single score each pair once, in order."""

    @property
    def accuracy(self) -> Float[Tensor, ""]:
        """Share of decided pairs ranked right; NaN when all are ties."""
        return self.correct.sum() / self.decided.sum()


def comparison_loss(
    model: Scorer,
    process: ForwardProcess,
    objective: PreferenceObjective,
    batch: ComparisonBatch,
    noise_level: Float[Tensor, "groups ..."],
    noise: Sequence[Float[Tensor, "_ channels _ _"]],
    total_weight: float | Tensor | None = None,
    heterogeneous: HeterogeneousSettings | None = None,
) -> LossOutput:
    """Loss and margins of `batch`, for everything that it says of the model's scores.

    There is one noise level a prompt group, and one noise draw for each of its sizes.
    `noise` has a tensor for each of `batch.images`, with a row for each of its groups. With an axis of levels, the
    states at all of them have the group's one noise draw, and are read together.
    Images that are read beside the comparisons count for nothing, and have a gradient of zero.
    `total_weight` replaces the sum of the judgements' weights as the divisor: a micro-batch passes that of the whole
    batch, so that the sum over micro-batches is the loss of the whole. `heterogeneous` adds the term of LRM's pairs of
    two levels, at the cost of a second state of every image; not with an axis of levels (ValueError).
    """
    gap = 0.0 if heterogeneous is None or heterogeneous.weight == 0 else heterogeneous.gap
    if gap and noise_level.ndim > 1:
        raise DinaError("heterogeneous pairs have one level a state; levels read together have several")
    read = [
        _scores(model, process, images, noise_level[images.group], drawn[images.member], gap)
        for images, drawn in zip(batch.images, noise, strict=True)
    ]
    level = noise_level[batch.group]
    scores, *others = (torch.cat(parts) for parts in zip(*read, strict=True))
    judged = batch.judgements
    first, second = batch.first[judged.pair], batch.second[judged.pair]
    margin = scores[first, judged.score] - scores[second, judged.score]
    with torch.autocast(margin.device.type, enabled=False):
        pair_loss = objective(margin, _joint_sigma(process, level[first]), judged.preference)
        if heterogeneous is not None and others:
            cleaner = _cleaner_loss(process, objective, scores - others[0], level, gap)
            both = cleaner[first, judged.score] + cleaner[second, judged.score]
            pair_loss = pair_loss + heterogeneous.weight / 2 * both
    divisor = judged.weight.sum() if total_weight is None else total_weight
    decided = judged.preference != 0.5
    preferred = torch.where(judged.preference > 0.5, margin, -margin).detach()
    return LossOutput(
        loss=(pair_loss * judged.weight).sum() / divisor + (0 * scores.sum() if batch.beside else 0),
        pair_loss=pair_loss.detach(),
        scores=scores.detach(),
        margin=margin.detach(),
        decided=decided,
        correct=decided & (preferred > 0),
        judged=judged,
    )


def _cleaner_loss(
    process: ForwardProcess,
    objective: PreferenceObjective,
    margin: Float[Tensor, "images scores"],
    level: Float[Tensor, " images"],
    gap: float,
) -> Float[Tensor, "images scores"]:
    """Loss of each image's cleaner state against its noisier one, under each score."""
    sigma = _joint_sigma(process, torch.stack([level, _noisier(level, gap)], dim=1))
    every = sigma.repeat_interleave(margin.shape[1])
    return objective(margin.flatten(), every, torch.ones_like(every)).view_as(margin)


def _scores(
    model: Scorer,
    process: ForwardProcess,
    images: SizedImages,
    level: Float[Tensor, "images ..."],
    noise: Float[Tensor, "images channels height width"],
    gap: float,
) -> tuple[Float[Tensor, "images scores"], ...]:
    """Scores of images of one size and, with a gap, those of the same images at their noisier level."""
    states, levels, conditioning = _noisy(process, images.latents, noise, level), level, images.conditioning
    if gap:
        noisier = _noisier(level, gap)
        # One forward over both states of every image
        states = torch.cat([states, _noisy(process, images.latents, noise, noisier)])
        levels, conditioning = torch.cat([level, noisier]), Conditioning.cat([conditioning, conditioning])
    return tuple(model(states, levels, conditioning).float().split(len(images)))


def _noisier(level: Float[Tensor, " images"], gap: float) -> Float[Tensor, " images"]:
    return (level + gap).clamp(max=1)


def _noisy(
    process: ForwardProcess,
    latents: Float[Tensor, "images channels height width"],
    noise: Float[Tensor, "images channels height width"],
    level: Float[Tensor, "images ..."],
) -> Float[Tensor, "images ... channels height width"]:
    if level.ndim == 1:
        return process.add_noise(latents, noise, level)
    return torch.stack([process.add_noise(latents, noise, one) for one in level.unbind(1)], dim=1)


def _joint_sigma(process: ForwardProcess, level: Float[Tensor, "pairs ..."]) -> Float[Tensor, " pairs"]:
    sigma = process.sigma(level)
    return sigma if level.ndim == 1 else sigma.square().mean(dim=1).sqrt()
