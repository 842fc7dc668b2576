"""The agreement of a store's annotators, each question by itself: as a table, and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int

from dina_lrm.collecting.agreement.alpha import MISSING, Level, krippendorff
from dina_lrm.collecting.agreement.annotators import (
    Bias,
    Judged,
    middle_seconds,
    seconds_text,
    share_over_prompts,
    side_bias,
    with_others,
    with_themselves,
)
from dina_lrm.data.votes.records import Pair
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import Trust, Weighed, trust_now, weighed
from dina_lrm.evaluation.interval import Interval
from dina_lrm.screen import NO_NUMBER
from dina_lrm.typed import DinaError, to_plain

ORDINAL: Final = ("a", "tie", "b")
"""Answers in their order; "both bad" is none of them."""
NOMINAL: Final = (*ORDINAL, "both_bad")
AT_RANDOM: Final = (None, "random")
"""How pairs were chosen that say something of all pairs: the others were chosen for being hard."""


@dataclass(frozen=True)
class AnnotatorReport:
    """One annotator: votes that stand, what controls and times say, agreement with others and with themselves."""

    annotator: int
    votes: int
    counted: int
    """Votes that weigh something."""
    refused: dict[str, int]
    """The others, by reason."""
    controls: Trust
    others: Interval
    """How often they say what most others say."""
    again: Interval
    """How often they say the same when asked again."""
    side: Bias
    seconds: float | None
    """Median time of an answer."""


@dataclass(frozen=True)
class AgreementReport:
    """How far annotators agree on a question, over the pairs that were chosen at random."""

    question: str
    votes: int
    """Votes on this question that stand."""
    pairs: int
    """Pairs that are compared: tasks that were chosen at random."""
    chosen: int
    """Votes on pairs that were chosen for what they tell, which are not compared."""
    ordinal: Interval
    """Alpha of a < tie < b; n counts prompts."""
    nominal: Interval
    """Alpha of a, tie, b and both bad, without an order."""
    counted: Interval
    """The ordinal alpha of those votes that weigh something."""
    others: Interval
    """How often an annotator says what most others say: what a model of them all can reach with one of them."""
    again: Interval
    """How often the same annotator says the same when asked again: what nothing can pass."""
    annotators: tuple[AnnotatorReport, ...]

    def facts(self) -> dict[str, str]:
        """What a reader wants to know, by its name in words."""
        return {
            "votes": f"{self.votes}, of which {self.chosen} on pairs that were not chosen at random and are left out",
            "pairs compared": str(self.pairs),
            "alpha, a < tie < b": self.ordinal.text(),
            "alpha, a / tie / b / both bad": self.nominal.text(),
            "alpha of the votes that count": self.counted.text(),
            "one agrees with most others": self.others.text(percent=True),
            "one says the same again": self.again.text(percent=True),
        }

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows, an annotator each."""
        heads = ("annotator", "votes", "count", "controls right", "with others", "same again", "lean to left", "s")
        return heads, [_row(one) for one in self.annotators]

    def notes(self) -> list[str]:
        """What to look at, a sentence each."""
        told = [
            f"annotator {one.annotator} leans to the {'left' if (one.side.logit.value or 0) > 0 else 'right'} "
            f"(logit {one.side.logit.text()}): look at their votes"
            for one in self.annotators
            if one.side.notable
        ]
        for one in self.annotators:
            why = ", ".join(f"{count} {reason}" for reason, count in one.refused.items())
            told += [f"annotator {one.annotator}: votes that weigh nothing: {why}"] if why else []
        return told

    def to_dict(self) -> dict[str, Any]:
        """Plain values; an interval that there is none of is null."""
        return to_plain(self)


def agreement_report(path: Path, question: str | None = None) -> AgreementReport:
    """How far the annotators of a file of votes agree on a question, by default its first.

    Raises DinaError for a question that it does not ask, and as `VoteStore.read`.
    """
    with VoteStore.read(path) as store:
        asked = [one.id for one in store.settings.questions]
        chosen = asked[0] if question is None else question
        if chosen not in asked:
            raise DinaError(f"question {chosen!r:.80}; accepted: {', '.join(asked)}")
        pairs, log = {pair.id: pair for pair in store.pairs()}, store.log()
        every = weighed(log, pairs.values(), store.settings)
        trust = trust_now(log, pairs.values())
    return _reported(chosen, [one for one in every if one.vote.question == chosen], pairs, trust)


def _reported(
    question: str, every: Sequence[Weighed], pairs: Mapping[str, Pair], trust: Mapping[int, Trust]
) -> AgreementReport:
    compared = [one for one in every if one.pair.kind == "task" and one.pair.chosen_by in AT_RANDOM]
    at_random = [one.vote for one in compared]
    others = with_others(at_random, {pair.id: pair.prompt for pair in pairs.values()})
    again = with_themselves([one.vote for one in every], pairs)
    counted = [one for one in compared if one.weight > 0]
    people = sorted({one.vote.annotator for one in every})
    return AgreementReport(
        question,
        len(every),
        len({vote.pair for vote in at_random}),
        sum(one.pair.chosen_by not in AT_RANDOM for one in every),
        _alpha(compared, "ordinal"),
        _alpha(compared, "nominal"),
        _alpha(counted, "ordinal"),
        share_over_prompts([row for rows in others.values() for row in rows]),
        share_over_prompts([row for rows in again.values() for row in rows]),
        tuple(_annotator(one, every, trust, others, again) for one in people),
    )


def _annotator(
    annotator: int, every: Sequence[Weighed], trust: Mapping[int, Trust], others: Judged, again: Judged
) -> AnnotatorReport:
    own = [one for one in every if one.vote.annotator == annotator]
    refused = Counter(one.refused for one in own if one.refused)
    return AnnotatorReport(
        annotator,
        len(own),
        sum(one.weight > 0 for one in own),
        dict(refused),
        trust.get(annotator, Trust()),
        share_over_prompts(others.get(annotator, [])),
        share_over_prompts(again.get(annotator, [])),
        side_bias(one.vote for one in own),
        middle_seconds(one.vote for one in own),
    )


def _alpha(votes: Sequence[Weighed], level: Level) -> Interval:
    """Alpha of votes on pairs, prompts drawn together."""
    pairs = {one.pair.id: one.pair for one in votes}
    rows = {id: number for number, id in enumerate(pairs)}
    columns = {who: number for number, who in enumerate(dict.fromkeys(one.vote.annotator for one in votes))}
    categories = ORDINAL if level == "ordinal" else NOMINAL
    answers: Int[np.ndarray, "units people"] = np.full((len(rows), len(columns)), MISSING)
    for one in votes:
        if one.vote.answer in categories:
            answers[rows[one.pair.id], columns[one.vote.annotator]] = categories.index(one.vote.answer)
    return krippendorff(answers, level, len(categories), [pair.prompt for pair in pairs.values()])


def _row(one: AnnotatorReport) -> tuple[str, ...]:
    answered = one.controls.right + one.controls.wrong
    controls = f"{one.controls.right} of {answered}" if answered else NO_NUMBER
    told = (one.others.text(percent=True), one.again.text(percent=True), one.side.logit.text())
    return (str(one.annotator), str(one.votes), str(one.counted), controls, *told, seconds_text(one.seconds))
