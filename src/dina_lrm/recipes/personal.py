"""A model for each person who voted: what one annotator said of the pairs of a store, encoded once for all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.named import as_text
from dina_lrm.data.votes.shares import Share, shares
from dina_lrm.data.votes.store import VoteStore
from dina_lrm.data.votes.trust import Weighed, weighed
from dina_lrm.heads.names import is_name
from dina_lrm.recipes.data import LoadedData
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.holding_out import usual_fraction
from dina_lrm.typed import DinaError

ALL: Final = "all"
"""Asks for a model of each who voted."""


@dataclass(frozen=True)
class OwnVotes:
    """What one annotator said: a comparison for each pair with a vote of theirs that weighs something."""

    number: int
    name: str | None
    """As it was asked for; None where all were."""
    pairs: EncodedComparisons
    told: str
    """How many of their votes are in how many pairs, and why others are in none."""

    def held_out(self, loaded: LoadedData, asked: TrainConfig, validation: str | None) -> TrainConfig:
        """The settings of their run: as `asked`, or a usual share of their pairs where nothing was said of that."""
        if asked.validation_fraction > 0 or validation is not None:
            return loaded.config
        return replace(loaded.config, validation_fraction=usual_fraction(len(self.pairs)))


@dataclass(frozen=True)
class Personal:
    """Whose models are to be trained, in the order of their numbers; `left_out` says of others why there is none."""

    votes: tuple[OwnVotes, ...]
    left_out: tuple[str, ...]


def personal_votes(pairs: EncodedComparisons, store: Path, annotator: str) -> Personal:
    """The comparisons of `pairs`, which are those of a store of votes, as one annotator judged them, or each of them.

    `annotator` is the name they gave when they voted, their number, or "all". Raises DinaError for one who is not
    there, and where no vote of whoever was asked for counts.
    """
    with VoteStore.read(store) as votes:
        log = weighed(votes.log(), votes.pairs(), votes.settings)
        questions = [question.id for question in votes.settings.questions]
        numbers = _numbers(votes, log, annotator, store)
    found, without = [], []
    for number in numbers:
        own = [one for one in log if one.vote.annotator == number]
        kept = shares(own, questions[0])
        if kept.pairs:
            name = None if annotator in (ALL, str(number)) else annotator
            of_them = _judged_by(pairs, own, kept.pairs, questions, number)
            found.append(OwnVotes(number, name, of_them, kept.told()))
        else:
            without.append(f"annotator {number}: no vote of theirs counts ({kept.told()})")
    if not found:
        raise DinaError(f"{store}: {'; '.join(without)}; accepted: annotators with votes that count")
    return Personal(tuple(found), tuple(without))


def _numbers(votes: VoteStore, log: list[Weighed], annotator: str, store: Path) -> list[int]:
    there = {one.id: 0 for one in votes.annotators()}
    for one in log:
        there[one.vote.annotator] += 1
    number = votes.number_of(annotator)
    if number is not None:
        return [number]
    if annotator == ALL and there:
        return sorted(there)
    if annotator.isdecimal() and int(annotator) in there:
        return [int(annotator)]
    listed = ", ".join(f"{number} ({count} votes)" for number, count in sorted(there.items())) or "none, nobody voted"
    raise DinaError(
        f"annotator {annotator!r:.80}: is not in {store}, which keeps no names; accepted: a name as it was given when "
        f"voting, {ALL}, or a number: {listed}"
    )


def _judged_by(
    pairs: EncodedComparisons, own: list[Weighed], kept: tuple[Share, ...], questions: list[str], number: int
) -> EncodedComparisons:
    said = {share.pair.id: share for share in kept}
    rows = [row for row, name in enumerate(pairs.pairs.pair_id) if name in said]
    if not rows:
        raise DinaError(f"annotator {number}: none of their {len(said)} pairs could be read")
    chosen = pairs.subset(torch.tensor(rows))
    named = [name for name in questions if is_name(name)] if len(questions) > 1 else []
    by_name = {name: {share.pair.id: share.preference for share in shares(own, name).pairs} for name in named}
    table = chosen.pairs
    ids = [str(name) for name in table.pair_id]
    told = [tuple(sorted((name, of[each]) for name, of in by_name.items() if each in of)) for each in ids]
    judged = replace(
        table,
        preference=torch.tensor([said[each].preference for each in ids]),
        weight=torch.tensor([said[each].weight for each in ids]),
        preferences=[as_text(one) for one in told],
    )
    return chosen.with_pairs(judged, f"annotator {number}")
