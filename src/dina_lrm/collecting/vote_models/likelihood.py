r"""How likely an answer is, by the margin d of a pair (> 0: a is better) and by which picture is on the left.

    z        = beta d + b l                  l = 1 where a is on the left, -1 where b is
    P(a)     = eps / 2 + (1 - eps) F(z - delta)
    P(b)     = eps / 2 + (1 - eps) F(-z - delta)
    P(tie)   = (1 - eps) (1 - F(z - delta) - F(-z - delta))

F is the normal distribution function (Thurstone; s = 1 / beta is the noise of a judgement) or the logistic one
(Bradley-Terry). b is the lean to the left, eps the share of answers that are given without looking, delta >= 0 how near
two pictures may be for a tie. beta below 0 is an annotator who prefers the other picture (an adversary, or a reversed
key); s is then NaN. At eps = b = delta = 0 it is the plain model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dina_lrm.preference.normal import log_ndtr

Link = Literal["thurstone", "bradley-terry"]
LINKS: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "thurstone": log_ndtr,
    "bradley-terry": torch.nn.functional.logsigmoid,
}
"""The logarithm of F."""
ANSWERS: Final = ("a", "tie", "b")
"""Answers by number."""
_LEAST: Final = 1e-12


@dataclass(frozen=True)
class Parameters:
    """What the annotator of each vote is like; or of each annotator."""

    beta: Float[Tensor, " n"]
    lean: Float[Tensor, " n"]
    lapse: Float[Tensor, " n"]
    threshold: Float[Tensor, " n"]

    def of(self, annotators: Int[Tensor, " votes"]) -> Parameters:
        """Those of the annotator of each vote."""
        return Parameters(*(one[annotators] for one in (self.beta, self.lean, self.lapse, self.threshold)))


def log_likelihood(
    margins: Float[Tensor, "votes nodes"],
    answers: Int[Tensor, " votes"],
    left: Float[Tensor, " votes"],
    given: Parameters,
    link: Link = "thurstone",
) -> Float[Tensor, "votes nodes"]:
    """The logarithm of the probability of each answer, at each of several margins that its pair may have."""
    log_f = LINKS[link]
    z = given.beta[:, None] * margins + (given.lean * left)[:, None]
    delta, lapse = given.threshold[:, None], given.lapse[:, None]
    first, second = log_f(z - delta).exp(), log_f(-z - delta).exp()
    tie = (1 - first - second).clamp_min(_LEAST)
    looked = torch.stack([first, tie, second])
    lapsed = torch.stack([lapse / 2, torch.zeros_like(lapse), lapse / 2]).expand_as(looked)
    every = lapsed + (1 - lapse) * looked
    return every.gather(0, answers[None, :, None].expand(1, *margins.shape))[0].clamp_min(_LEAST).log()
