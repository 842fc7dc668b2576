r"""The loss of a batch of comparisons (paper, algorithm 1), as a pure function.

    t_g ~ q(t),  eps_g ~ N(0, I)                one draw a prompt group g; K levels where they are read together
    x_t = alpha(t_g) x_0 + sigma(t_g) eps_g     every image of the batch once
    r   = model(x_t, t_g, conditioning)         one forward over all images of a size
    m   = r[first] - r[second]
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
from dina_lrm.data.cache.batch import ComparisonBatch, SizedImages
from dina_lrm.diffusion.process import ForwardProcess
from dina_lrm.preference.presets import PreferenceObjective
from dina_lrm.training.config import HeterogeneousSettings
from dina_lrm.typed import DinaError

Scorer = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(noisy latents, noise level of each, conditioning) to raw scores: a reward model, or a wrapper of one."""


@dataclass(frozen=True)
class LossOutput:
    """What one forward over a batch says. Ties (preference 0.5) count in the loss, never in the accuracy."""

    loss: Float[Tensor, ""]
    pair_loss: Float[Tensor, " pairs"]
    """Each comparison's term of the loss, that of its heterogeneous pairs included."""
    scores: Float[Tensor, " images"]
    margin: Float[Tensor, " pairs"]
    decided: Bool[Tensor, " pairs"]
    """True where the label is no tie."""
    correct: Bool[Tensor, " pairs"]
    """True where the label is no tie and the preferred image has the higher score."""

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
    """Loss and margins of `batch` at one noise level a prompt group, and one noise draw for each of its sizes.

    `noise` has a tensor for each of `batch.images`, with a row for each of its groups. With an axis of levels, the
    states at all of them have the group's one noise draw, and are read together.
    Images that are read beside the comparisons count for nothing, and have a gradient of zero.
    `total_weight` replaces the sum of the batch's weights as the divisor: a micro-batch passes the weight of the whole
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
    margin = scores[batch.first] - scores[batch.second]
    with torch.autocast(margin.device.type, enabled=False):
        pair_loss = objective(margin, _joint_sigma(process, level[batch.first]), batch.preference)
        if heterogeneous is not None and others:
            sigma = _joint_sigma(process, torch.stack([level, _noisier(level, gap)], dim=1))
            cleaner = objective(scores - others[0], sigma, torch.ones_like(scores))
            pair_loss = pair_loss + heterogeneous.weight / 2 * (cleaner[batch.first] + cleaner[batch.second])
    divisor = batch.weight.sum() if total_weight is None else total_weight
    decided = batch.preference != 0.5
    preferred = torch.where(batch.preference > 0.5, margin, -margin).detach()
    return LossOutput(
        loss=(pair_loss * batch.weight).sum() / divisor + (0 * scores.sum() if batch.beside else 0),
        pair_loss=pair_loss.detach(),
        scores=scores.detach(),
        margin=margin.detach(),
        decided=decided,
        correct=decided & (preferred > 0),
    )


def _scores(
    model: Scorer,
    process: ForwardProcess,
    images: SizedImages,
    level: Float[Tensor, "images ..."],
    noise: Float[Tensor, "images channels height width"],
    gap: float,
) -> tuple[Float[Tensor, " images"], ...]:
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
