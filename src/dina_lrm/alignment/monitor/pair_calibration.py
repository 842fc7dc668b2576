r"""Whether the win rates that a run learns from are calibrated: P(win) of the pairs of a look against who won them.

Pairs are those of the images of one prompt, each once. P comes from the reward's own likelihood, as in the run
(`algorithms.win_rate`); who won is told by judges that nothing is optimised for:

- the truth of the synthetic world: the probability that a balanced annotator prefers the first, which has no noise of
  its own but that of the oracle;
- the golden reward: the higher of its scores has won, equal ones are half a win each. It is a judge, not the truth:
  where it errs by chance, a calibrated reward looks overconfident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import torch
from jaxtyping import Float, Int

from dina_lrm.alignment.algorithms.win_rate import Preferred
from dina_lrm.alignment.monitor.records import ERRORS_95, PairCalibration, summarise
from dina_lrm.preference.reliability import error_of_a_perfect_model, expected_error, folded, reliability_bins
from dina_lrm.screen import interval_text
from dina_lrm.synthetic.utility import PERSONALITIES
from dina_lrm.typed import DinaError

TRUTH: Final = "true utility"
Scores = Float[np.ndarray, " pictures"]
Pairs = Float[np.ndarray, " pairs"]


@final
class PairJudge:
    """Compares the win rates of rewards, by name, with what judges say; `together` names what the run learns from.

    Where there are several rewards that is the weighted mean of theirs. A reward with a weight below 0 counts by its
    losses, as in the run.

    Raises:
        ValueError: for other names of weights than of likelihoods, and for weights that are all 0.
    """

    def __init__(self, likelihoods: Mapping[str, Preferred], weights: Mapping[str, float], together: str) -> None:
        if set(likelihoods) != set(weights) or not any(weights.values()):
            told = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
            raise DinaError(
                f"win rates of {', '.join(likelihoods) or 'nothing'} with the weights {told or 'none'}; accepted: a "
                "weight for each, one of them not 0"
            )
        self._likelihoods, self._weights, self._together = dict(likelihoods), dict(weights), together

    @torch.no_grad()
    def __call__(
        self, scores: Mapping[str, Scores], prompts: Sequence[str], golden: tuple[str, Scores] | None, utility: Scores
    ) -> dict[str, dict[str, PairCalibration]]:
        """By reward and judge, of pictures of one look; nothing where no prompt has two, or no judge has an answer.

        `golden` is the name and the scores of the golden reward, `utility` the true one. A pair of which a value is NaN
        is left out and counted. ValueError where scores of a reward are missing.
        """
        missing = sorted(set(self._likelihoods) - set(scores))
        if missing:
            raise DinaError(f"win rates: no scores of {', '.join(missing)}; given: {', '.join(scores) or 'none'}")
        first, second = pairs_of(prompts)
        if not len(first):
            return {}
        _, prompt = np.unique(np.array(prompts), return_inverse=True)
        rates = {name: self._rate(name, scores[name], first, second) for name in self._likelihoods}
        if len(rates) > 1:
            whole = sum(map(abs, self._weights.values()))
            parts = [abs(self._weights[name]) / whole * rate for name, rate in rates.items()]
            rates[self._together] = np.sum(parts, axis=0)
        of_prompts = [str(number) for number in prompt[first]]
        found: dict[str, dict[str, PairCalibration]] = {}
        if not np.isnan(utility).all():
            truth = PERSONALITIES["balanced"].preference(utility[first] - utility[second])
            for name, rate in rates.items():
                found.setdefault(name, {})[TRUTH] = calibration_of_pairs(rate, truth, of_prompts, sampled=False)
        if golden is not None:
            judge, values = golden
            won = winners(values, first, second)
            for name, rate in rates.items():
                found.setdefault(name, {})[judge] = calibration_of_pairs(rate, won, of_prompts)
        return found

    def _rate(
        self, name: str, scores: Scores, first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"]
    ) -> Pairs:
        values = torch.from_numpy(scores).float()
        rate = self._likelihoods[name](values[first] - values[second]).double().cpu().numpy()
        return np.asarray(rate if self._weights[name] >= 0 else 1 - rate)


def pairs_of(prompts: Sequence[str]) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """The two rows of each pair of pictures of one prompt, each pair once."""
    _, prompt = np.unique(np.array(prompts), return_inverse=True)
    first, second = np.triu_indices(len(prompts), k=1)
    same = prompt[first] == prompt[second]
    return first[same], second[same]


def winners(scores: Scores, first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"]) -> Pairs:
    """1 where the first has the higher score, 0 where the second has, 1/2 for equal ones; NaN where one is NaN."""
    a, b = scores[first], scores[second]
    won = np.where(a > b, 1.0, np.where(a < b, 0.0, 0.5))
    won[np.isnan(a) | np.isnan(b)] = np.nan
    return won


def calibration_of_pairs(
    probability: Pairs, target: Pairs, prompts: Sequence[str], sampled: bool = True
) -> PairCalibration:
    """P(first preferred) against targets in [0, 1] of pairs, with the prompt of each; NaN of either is left out.

    `sampled` says that targets are winners; else they are true probabilities, of which a perfect reward has no error.
    """
    known = ~(np.isnan(probability) | np.isnan(target))
    p, y = probability[known], target[known]
    left_out = int((~known).sum())
    if not p.size:
        return PairCalibration(0, left_out, None, None, None, None, None)
    confidence, outcome = folded(p, y)
    gap = summarise(outcome - confidence, [prompt for prompt, kept in zip(prompts, known, strict=True) if kept])
    return PairCalibration(
        pairs=p.size,
        left_out=left_out,
        confidence=float(confidence.mean()),
        right=float(outcome.mean()),
        error=gap.standard_error,
        ece=expected_error(reliability_bins(p, y)),
        ece_floor=error_of_a_perfect_model(p) if sampled else 0.0,
    )


def overconfidence(found: PairCalibration) -> tuple[float, float | None] | None:
    """How much surer than right, and half of its 95 % interval; None where it needs more prompts, and without pairs."""
    if found.confidence is None or found.right is None:
        return None
    return found.confidence - found.right, None if found.error is None else ERRORS_95 * found.error


def calibration_sentence(reward: str, judge: str, found: PairCalibration) -> str:
    """Whether the reward was as sure as it was right by a judge, in words, with the numbers."""
    gap = overconfidence(found)
    if gap is None or found.confidence is None or found.right is None:
        return f"{judge} told no winner of {found.left_out} pairs: whether {reward} was too sure is not known."
    surer, half = gap
    low, high = (None, None) if half is None else (100 * (surer - half), 100 * (surer + half))
    points = interval_text(100 * surer, low, high, "+.0f")
    pairs = f"{found.pairs} pair{'s' * (found.pairs != 1)}"
    return (
        f"By {judge}, {reward} was {_verdict(surer, half)}: sure of {_percent(found.confidence)} in the mean, right in "
        f"{_percent(found.right)} of {pairs}; the difference in points is {points}."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _verdict(surer: float, half: float | None) -> str:
    if half is None:
        return "asked about too few prompts to tell"
    if abs(surer) <= half:
        return "as sure as it was right, within noise"
    return "overconfident" if surer > 0 else "underconfident"
