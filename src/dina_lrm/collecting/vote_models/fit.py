r"""The likeliest annotators, with the margins of pairs integrated out.

Of each pair the margin is known as N(m, v): from a model's scores and how sure they are, or, where nothing is known of
it, N(0, 1), which makes of one standard deviation of margins the unit in which s is told. Votes of one pair share its
margin, by Gauss-Hermite's nodes:

    log L = sum_pairs log sum_nodes w_node prod_votes P(answer | m + sqrt(v) node, annotator)

By the likeliest margin of each pair instead, annotators would look better than they are: three votes fit a margin of
their own too well. Inside, margins are in units of their root mean square. Priors, weak: beta ~ N(0, 3),
lean ~ N(0, 1), lapses ~ Beta(2, 20), threshold ~ Exponential(1). Who has given few votes is near these, and near
beta = 1, from where the search starts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dina_lrm.collecting.vote_models.likelihood import ANSWERS, Link, Parameters, log_likelihood
from dina_lrm.typed import require, to_plain

_NODES: Final = 31
_STEPS: Final = 200
_SD_OF_BETA: Final = 3.0


@dataclass(frozen=True)
class Judgements:
    """Votes as numbers: of each the pair, the annotator, the answer (`ANSWERS`) and whether a stood on the left."""

    pairs: Int[np.ndarray, " votes"]
    annotators: Int[np.ndarray, " votes"]
    answers: Int[np.ndarray, " votes"]
    a_left: Float[np.ndarray, " votes"]
    """1 where a stood on the left, -1 where b did."""

    def __post_init__(self) -> None:
        require(len(self.pairs) > 0, "judgements", 0, "at least one vote")
        inside = bool(((self.answers >= 0) & (self.answers < len(ANSWERS))).all())
        require(inside, "answers", sorted(set(self.answers.tolist())), f"0 to {len(ANSWERS) - 1}")


@dataclass(frozen=True)
class FittedAnnotator:
    """One annotator. `noise` is s = 1 / beta in units of the margins, NaN for one who prefers the other picture."""

    votes: int
    beta: float
    noise: float
    lean: float
    lapse: float
    threshold: float
    accuracy: float
    """How often a decided answer names the better picture, over the margins of the pairs that were asked."""

    @property
    def weight(self) -> float:
        """What a vote weighs by it, in [0, 1]: max(0, 2 accuracy - 1), as by controls."""
        return max(0.0, 2 * self.accuracy - 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the weight among them."""
        return {**to_plain(self), "weight": self.weight}


@dataclass(frozen=True)
class Fit:
    """Annotators by number, and how likely a is the better picture of each pair by all of their votes."""

    annotators: tuple[FittedAnnotator, ...]
    a_better: Float[np.ndarray, " pairs"]
    log_likelihood: float


def fit_annotators(
    votes: Judgements,
    margins: Float[np.ndarray, " pairs"] | None = None,
    variances: Float[np.ndarray, " pairs"] | None = None,
    link: Link = "thurstone",
) -> Fit:
    """Fit all annotators at once; numbers of pairs and annotators count from 0.

    Raises DinaError for margins that are not finite, a negative variance, or fewer of them than there are pairs.
    """
    pairs, people = int(votes.pairs.max()) + 1, int(votes.annotators.max()) + 1
    mean, spread = _known(margins, variances, pairs)
    unit = float((mean.square() + spread.square()).mean().sqrt()) or 1.0
    mean, spread = mean / unit, spread / unit
    nodes, log_weights = _nodes(_NODES if bool((spread > 0).any()) else 1)
    at = mean[:, None] + spread[:, None] * nodes
    data = _Tensors(
        torch.from_numpy(votes.pairs), torch.from_numpy(votes.annotators), torch.from_numpy(votes.answers),
        torch.from_numpy(votes.a_left).double(),
    )  # fmt: skip
    ties = torch.bincount(data.annotators[data.answers == ANSWERS.index("tie")], minlength=people) > 0
    raw = _start(people).requires_grad_()

    def evidence() -> Tensor:
        each = log_likelihood(at[data.pairs], data.answers, data.left, _parameters(raw, ties).of(data.annotators), link)
        return torch.zeros(len(at), len(nodes), dtype=each.dtype).index_add(0, data.pairs, each) + log_weights

    search = torch.optim.LBFGS([raw], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-10)

    def closure() -> Tensor:
        search.zero_grad()
        loss = -(evidence().logsumexp(dim=1).sum() + _prior(_parameters(raw, ties)))
        loss.backward()
        return loss

    search.step(closure)
    with torch.no_grad():
        found = evidence()
        share = (found - found.logsumexp(dim=1, keepdim=True)).exp()
        better = (share * _side(at)).sum(dim=1).numpy()
        annotators = _annotators(_parameters(raw, ties), data, at, share, link, unit)
    return Fit(annotators, better, float(found.logsumexp(dim=1).sum()))


@dataclass(frozen=True)
class _Tensors:
    pairs: Int[Tensor, " votes"]
    annotators: Int[Tensor, " votes"]
    answers: Int[Tensor, " votes"]
    left: Float[Tensor, " votes"]


def _known(
    margins: Float[np.ndarray, " pairs"] | None, variances: Float[np.ndarray, " pairs"] | None, pairs: int
) -> tuple[Float[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """Mean and standard deviation of each pair's margin."""
    if margins is None:
        return torch.zeros(pairs).double(), torch.ones(pairs).double()
    spread = np.zeros(len(margins)) if variances is None else variances
    require(len(margins) == len(spread) >= pairs, "margins", len(margins), f"one for each of {pairs} pairs")
    finite = bool(np.isfinite(margins).all() and np.isfinite(spread).all() and (spread >= 0).all())
    require(finite, "margins", "numbers that are not finite, or variances below 0", "finite ones")
    return torch.from_numpy(margins).double(), torch.from_numpy(spread).double().sqrt()


def _nodes(number: int) -> tuple[Float[Tensor, " nodes"], Float[Tensor, " nodes"]]:
    """Gauss-Hermite's nodes for a standard normal, and the logarithms of their weights."""
    places, weights = np.polynomial.hermite_e.hermegauss(number)
    return torch.from_numpy(places), torch.from_numpy(np.log(weights) - 0.5 * math.log(2 * math.pi))


def _start(people: int) -> Float[Tensor, "4 people"]:
    """Beta = 1, no lean, lapses of one in twenty, a threshold of 0.2."""
    lapse, threshold = math.log(0.05 / 0.95), math.log(0.2)
    return torch.tensor([1.0, 0.0, lapse, threshold], dtype=torch.float64)[:, None].repeat(1, people)


def _parameters(raw: Float[Tensor, "4 people"], ties: Tensor) -> Parameters:
    """Parameters in their ranges; who never ties has no threshold."""
    return Parameters(raw[0], raw[1], raw[2].sigmoid(), raw[3].exp() * ties)


def _prior(given: Parameters) -> Tensor:
    """The logarithm of the prior, but for a constant."""
    of_beta = -0.5 * (given.beta / _SD_OF_BETA).square() - 0.5 * given.lean.square()
    return (of_beta + given.lapse.log() + 19 * torch.log1p(-given.lapse) - given.threshold).sum()


def _side(margins: Float[Tensor, "pairs nodes"]) -> Float[Tensor, "pairs nodes"]:
    """1 where a is better, 1/2 where neither is."""
    return (margins.sign() + 1) / 2


def _annotators(
    given: Parameters,
    data: _Tensors,
    at: Float[Tensor, "pairs nodes"],
    share: Float[Tensor, "pairs nodes"],
    link: Link,
    unit: float,
) -> tuple[FittedAnnotator, ...]:
    found = []
    for number in range(len(given.beta)):
        own = data.pairs[data.annotators == number]
        accuracy = _accuracy(given.of(torch.full((len(own),), number)), at[own], share[own], link) if len(own) else 0.5
        beta, lean, lapse, threshold = (
            float(one[number]) for one in (given.beta, given.lean, given.lapse, given.threshold)
        )
        noise = unit / beta if beta > 0 else math.nan
        found.append(FittedAnnotator(len(own), beta / unit, noise, lean, lapse, threshold, accuracy))
    return tuple(found)


def _accuracy(
    given: Parameters, at: Float[Tensor, "votes nodes"], share: Float[Tensor, "votes nodes"], link: Link
) -> float:
    """How often a decided answer names the better picture, the sides drawn by a coin."""
    right, decided = torch.zeros(()).double(), torch.zeros(()).double()
    for left in (1.0, -1.0):
        sides = torch.full((len(at),), left).double()
        for answer, better in ((0, _side(at)), (2, 1 - _side(at))):
            likely = log_likelihood(at, torch.full((len(at),), answer), sides, given, link).exp()
            right += (share * likely * better).sum()
            decided += (share * likely).sum()
    return float(right / decided)
