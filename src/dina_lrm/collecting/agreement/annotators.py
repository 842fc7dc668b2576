"""One annotator: how often they agree with the others and with themselves, and which side they lean to."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from dina_lrm.data.votes.records import Pair, Vote
from dina_lrm.data.votes.shares import VALUES
from dina_lrm.evaluation.bootstrap import interval_of_mean, wilson_interval
from dina_lrm.evaluation.interval import Interval
from dina_lrm.screen import NO_NUMBER

Judged = dict[int, list[tuple[bool, str]]]
"""Of each annotator, answers that were right or not, each with its prompt."""


@dataclass(frozen=True)
class Bias:
    """How much an annotator leans to the left: b = logit of the share of decided answers that were the left picture.

    Pictures with a clear winner hide a lean: b is that of the whole answers, nearer to 0 than the lean of an annotator
    who does not know. |b| > 0.5 is `notable`: look at the annotator.
    """

    logit: Interval

    @property
    def notable(self) -> bool:
        """Whether it is worth a look."""
        return self.logit.value is not None and abs(self.logit.value) > 0.5


def with_others(votes: Sequence[Vote], prompts: Mapping[str, str]) -> Judged:
    """Of each annotator, for each of their answers, whether most of the others say the same.

    It is what a model of many can reach with one. Ties are an answer; pairs on which the others are split, and those
    that nobody else answered, are not counted.
    """
    of_pair: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        if vote.answer in VALUES:
            of_pair[vote.pair].append(vote)
    found: Judged = defaultdict(list)
    for pair, given in of_pair.items():
        for vote in given:
            most = _majority(other.answer for other in given if other.annotator != vote.annotator)
            if most is not None:
                found[vote.annotator].append((vote.answer == most, prompts[pair]))
    return found


def share_over_prompts(rows: Sequence[tuple[bool, str]]) -> Interval:
    """A share with its interval, prompts drawn together."""
    if not rows:
        return Interval(None, None, None)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(prompt for _, prompt in rows))}
    clusters = np.array([numbers[prompt] for _, prompt in rows])
    return interval_of_mean(np.array([float(right) for right, _ in rows]), clusters, share=True)


def with_themselves(votes: Sequence[Vote], pairs: Mapping[str, Pair]) -> Judged:
    """Of each annotator, for each pair that was asked again, whether the answer was the same."""
    first = {(vote.pair, vote.annotator, vote.question): vote.answer for vote in votes}
    found: Judged = defaultdict(list)
    for vote in votes:
        pair = pairs[vote.pair]
        before = first.get((pair.repeats or "", vote.annotator, vote.question))
        if before in VALUES and vote.answer in VALUES:
            found[vote.annotator].append((vote.answer == before, pair.prompt))
    return found


def side_bias(votes: Iterable[Vote]) -> Bias:
    """The lean to the left of decided answers, with a 95 % interval (Wilson's, as logits); ends without a bound are
    those of a share of 0 or 1.
    """
    lefts = [vote.answer == vote.left for vote in votes if vote.answer in ("a", "b")]
    if not lefts:
        return Bias(Interval(None, None, None))
    left, number = sum(lefts), len(lefts)
    low, high = wilson_interval(left, number)
    return Bias(Interval(_logit((left + 0.5) / (number + 1)), _logit(low), _logit(high), number))


def middle_seconds(votes: Iterable[Vote]) -> float | None:
    """The median time of an answer in seconds, where times are known."""
    times = [vote.ms for vote in votes if vote.ms is not None]
    return median(times) / 1000 if times else None


def seconds_text(seconds: float | None) -> str:
    """A time, or a dash."""
    return NO_NUMBER if seconds is None else f"{seconds:.1f}"


def _majority(answers: Iterable[str]) -> str | None:
    """The most frequent answer, where there is one."""
    counted = Counter(answers).most_common(2)
    if not counted or (len(counted) == 2 and counted[0][1] == counted[1][1]):
        return None
    return counted[0][0]


def _logit(share: float) -> float | None:
    return None if share in (0.0, 1.0) else math.log(share / (1 - share))
