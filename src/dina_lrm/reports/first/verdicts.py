"""What the numbers of a report decide, in one sentence that stands above everything else.

    Better: by true utility it wins 61 % of 96 prompts (54 to 68); cnn agrees.
    Not decided with 4 prompts: by true utility it wins 50 % of 4 prompts (0 to 100).
    Not real: latent:synthetic rose, but true utility fell by 0.21 (0.08 to 0.34) on 96 prompts.

A win is claimed only where the whole 95 % interval lies beyond a tie. A number that is missing, NaN or infinite decides
nothing, and neither does a judge that the generator was tuned for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from scipy.special import stdtrit

from dina_lrm.evaluation.bootstrap import wilson_interval
from dina_lrm.evaluation.interval import Interval
from dina_lrm.screen import number_text

Standing = Literal[-1, 0, 1]
"""1: better, -1: worse, 0: not decided."""
Voice = Literal["truth", "held out", "unknown", "optimised"]
"""What a judge's word weighs, heaviest first; only an optimised one cannot speak for a gain."""
_VOICES: Final[tuple[Voice, ...]] = ("truth", "held out", "unknown")
_TIE: Final = 0.5


@dataclass(frozen=True)
class Verdict:
    """A sentence for the head of a page, and what it decides."""

    text: str
    standing: Standing = 0


@dataclass(frozen=True)
class Witness:
    """What one judge says of a change: the mean that moved and, where pictures were set side by side, the share won.

    `over` names what was counted, such as "96 prompts".
    """

    name: str
    voice: Voice
    change: Interval
    wins: Interval | None = None
    over: str = "prompts"

    @property
    def standing(self) -> Standing:
        """The sign that share and mean agree on; 0 where one of them contradicts the other or covers the tie."""
        change = beyond(self.change)
        if self.wins is None:
            return change
        wins = beyond(self.wins, _TIE)
        return 0 if change == -wins else wins

    @property
    def is_known(self) -> bool:
        """Whether there is a number at all."""
        return _finite((self.change if self.wins is None else self.wins).value)

    def told(self) -> str:
        """The number in words."""
        if not self.is_known:
            return f"{self.name} gave no score"
        if self.wins is not None:
            ends = self.wins.ends(".0f", percent=True)
            return f"by {self.name} it wins {self.wins.middle('.0f', percent=True)} % of {self.over} ({ends})"
        moved = {1: "rose by", -1: "fell by", 0: "changed by"}[self.standing]
        return f"{self.name} {moved} {self._moved()} on {self.over}"

    def _moved(self) -> str:
        found, sign = self.change, self.standing
        if sign >= 0:
            return found.text("+.2f" if sign == 0 else ".2f")
        low, high = found.low, found.high
        assert found.value is not None and low is not None and high is not None, "without an interval nothing falls"
        return Interval(-found.value, -high, -low).text(".2f")


def beyond(found: Interval, tie: float = 0.0) -> Standing:
    """Where the interval lies: 1 above the tie, -1 below it, 0 where it covers or touches it or is not finite."""
    if not all(_finite(number) for number in (found.value, found.low, found.high)):
        return 0
    side = found.beyond(tie)
    return 1 if side > 0 else -1 if side < 0 else 0


def change_of(before: Interval, after: Interval) -> Interval:
    """The change between two means with standard errors a quarter of their intervals' width, as if both were drawn
    apart: wider than that of pairs, which share most of their noise.
    """
    if before.value is None or after.value is None:
        return Interval(None, None, None)
    value = after.value - before.value
    if None in (before.low, before.high, after.low, after.high):
        return Interval(value, None, None, after.n)
    halves = [(side.span[2] - side.span[1]) / 2 for side in (before, after)]
    half = math.hypot(*halves)
    return Interval(value, value - half, value + half, after.n)


def mean_with_error(mean: float | None, error: float | None, number: int) -> Interval:
    """Student's 95 % interval of a mean over `number` prompts with its standard error; without one there is none."""
    if mean is None or error is None or number < 2:
        return Interval(mean, None, None, number)
    half = float(stdtrit(number - 1, 0.975)) * error
    return Interval(mean, mean - half, mean + half, number)


def change_verdict(witnesses: Sequence[Witness], number: int, unit: str = "prompts") -> Verdict:
    """Whether something became better, by the weightiest judges there are; the others are named beside them."""
    known = [witness for witness in witnesses if witness.is_known]
    if not known:
        missing = ", ".join(witness.name for witness in witnesses)
        return Verdict(f"No verdict: {missing} gave no score." if missing else "No verdict: no judge was asked.")
    voice = next((voice for voice in _VOICES if any(witness.voice == voice for witness in known)), None)
    tuned_for = [witness for witness in known if witness.voice == "optimised"]
    if voice is None:
        return _of_optimised(tuned_for, number, unit)
    heard = [witness for witness in known if witness.voice == voice]
    standing = _agreed([witness.standing for witness in heard])
    lead = next((witness for witness in heard if witness.standing == standing), heard[0])
    others = [witness for witness in known if witness is not lead and witness.voice != "optimised"]
    rest = _others(others, standing) + _silent(witnesses)
    if standing > 0:
        return Verdict(f"Better: {lead.told()}{rest}.", 1)
    if standing < 0:
        return _worse(lead, rest, tuned_for)
    if any(witness.standing for witness in heard):
        told = "; ".join(witness.told() for witness in heard if witness.standing)
        return Verdict(f"Judges disagree: {told}.", 0)
    return Verdict(f"Not decided with {number} {unit}: {lead.told()}{rest}.", 0)


def together(parts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """Several verdicts in a row, each behind the name of what it is about, if it has one: better where some are so and
    none is worse.
    """
    told = [f"{name} {part.text[:1].lower()}{part.text[1:]}" if name else part.text for name, part in parts]
    return Verdict(" ".join(told), _agreed([part.standing for _, part in parts]))


def accuracy_verdict(model: str, sets: Sequence[tuple[str, Interval, float | None]]) -> Verdict:
    """Whether a judge ranks pairs better than a coin; `sets` are (name, accuracy, ceiling).

    A model is better where it is so on every set, and worse where it is so on any.
    """
    known = [(name, found, ceiling) for name, found, ceiling in sets if _finite(found.value)]
    if not known:
        return Verdict(f"No verdict: no pair could be counted for {model}.")
    sides = [beyond(found, _TIE) for _, found, _ in known]
    standing: Standing = -1 if min(sides) < 0 else 1 if min(sides) > 0 and len(known) == len(sets) else 0
    order = sorted(known, key=lambda row: row[1].span[0])
    told = _one_set(*order[0][1:]) if len(sets) == 1 else _from_to(order[0], order[-1])
    return Verdict(f"{_against_chance(sides, len(sets))}: {model} is right on {told}.", standing)


@dataclass(frozen=True)
class LossOverSteps:
    """The first and the last loss that a training logged; None where it logged none."""

    first: float | None
    last: float | None
    steps: int

    def told(self) -> str:
        """The change in words."""
        ends = f"from {number_text(self.first, '.3f')} to {number_text(self.last, '.3f')}"
        return f"the loss went {ends} in {self.steps:,} steps"


def learning_verdict(accuracy: Interval, pairs: int, over: str, held_out: bool, loss: LossOverSteps) -> Verdict:
    """Whether a training learned what holds for pairs that it did not see; `over` names what the interval draws."""
    if loss.last is not None and not math.isfinite(loss.last):
        return Verdict(f"Failed: the loss is not a number after {loss.steps:,} steps.", -1)
    if not _finite(accuracy.value):
        return Verdict(f"Not known: {loss.told()}, and no pair could be counted.")
    right = f"{accuracy.middle('.1f', percent=True)} %"
    if held_out and not accuracy.n:
        told = f"{right} of {pairs:,} held-out pairs are ranked right; of how many prompts is not recorded"
        return Verdict(f"Not known: {told}; {loss.told()}.")
    if not held_out:
        told = f"{right} of {pairs:,} training pairs are ranked right, and none was held out"
        return Verdict(f"Not known: {told}; {loss.told()}.")
    told = f"{right} of {pairs:,} held-out pairs are ranked right ({accuracy.ends('.1f', percent=True)}, over {over})"
    standing = beyond(accuracy, _TIE)
    word = {1: "Learned", 0: f"Not decided with {over}", -1: "Worse than a coin"}[standing]
    return Verdict(f"{word}: {told}; {loss.told()}.", standing)


def share_interval(share: float | None, drawn: int) -> Interval:
    """Wilson's interval of a share of `drawn` things.

    A share of pairs whose prompts are what is drawn is given the number of prompts: as wide as if all pairs of a prompt
    said the same, so that it is wider than a bootstrap's.
    """
    if share is None or not math.isfinite(share) or drawn < 1:
        return Interval(share, None, None, drawn)
    low, high = wilson_interval(share * drawn, drawn)
    return Interval(share, low, high, drawn)


def ahead_verdict(first: str, gaps: Sequence[tuple[str, str, Interval]]) -> Verdict:
    """Which of several judges is ahead; `gaps` are (judge, set, its accuracy minus that of `first`)."""
    told = []
    for judge in dict.fromkeys(judge for judge, _, _ in gaps):
        sides = Counter(beyond(gap) for name, _, gap in gaps if name == judge)
        told.append(_ahead_told(judge, first, sides))
    standings = [_agreed([beyond(gap) for name, _, gap in gaps if name == judge]) for judge, _, _ in gaps]
    return Verdict(". ".join(told) + "." if told else "", _agreed(standings) if standings else 0)


def faults_verdict(kinds: Sequence[tuple[str, Interval]]) -> Verdict:
    """How many kinds of faults a judge sees; `kinds` are (kind, share of pairs in which the perfect image is ahead)."""
    if not kinds:
        return Verdict("No verdict: no faults were judged.")
    missed = [kind for kind, found in kinds if beyond(found, _TIE) < 1]
    told = f"Sees {len(kinds) - len(missed)} of {len(kinds)} kinds of faults better than a coin"
    return Verdict(f"{told}; not {_names(missed)}." if missed else f"{told}.", 0 if missed else 1)


def findings_verdict(verdicts: Sequence[str]) -> str:
    """How many findings of a study hold, do not, and are open, as a sentence; `verdicts` are those of its table."""
    if not verdicts:
        return "Nothing was measured that decides a finding."
    counts = Counter(verdicts)
    order = ("holds", "does not hold", "not decided", "one seed only", "not measured")
    words = {"holds": "hold", "does not hold": "do not hold", "one seed only": "rest on one seed only"}
    words |= {"not decided": "are not decided", "not measured": "were not measured"}
    single = {"holds": "holds", "does not hold": "does not", "one seed only": "rests on one seed only"}
    single |= {"not decided": "is not decided", "not measured": "was not measured"}
    parts = [f"{counts[key]} {(single if counts[key] == 1 else words)[key]}" for key in order if counts[key]]
    finding = "finding" if len(verdicts) == 1 else "findings"
    return f"Of {len(verdicts)} {finding}, {', '.join(parts)}."


def _of_optimised(witnesses: Sequence[Witness], number: int, unit: str) -> Verdict:
    lead = witnesses[0]
    if lead.standing < 0:
        return Verdict(f"Worse, even by what was optimised: {lead.told()}.", -1)
    if lead.standing > 0:
        return Verdict(f"Not known: {lead.told()}, but it was optimised, and no other judge was asked.")
    return Verdict(f"Not decided with {number} {unit}: {lead.told()}; it was optimised, and no other judge was asked.")


def _worse(lead: Witness, rest: str, tuned_for: Sequence[Witness]) -> Verdict:
    risen = [witness.name for witness in tuned_for if witness.standing > 0]
    if risen:
        return Verdict(f"Not real: {' and '.join(risen)} rose, but {lead.told()}{rest}.", -1)
    return Verdict(f"Worse: {lead.told()}{rest}.", -1)


def _agreed(standings: Sequence[Standing]) -> Standing:
    """The sign that some have and none contradicts."""
    found = set(standings)
    return 0 if {1, -1} <= found else 1 if 1 in found else -1 if -1 in found else 0


def _others(others: Sequence[Witness], standing: Standing) -> str:
    """What the rest of the judges say, in groups: who agrees, who contradicts, who leaves it open."""
    agree = [witness.name for witness in others if standing and witness.standing == standing]
    against = [witness.name for witness in others if standing and witness.standing == -standing]
    open_ = [witness.name for witness in others if standing and witness.standing == 0]
    up = [witness.name for witness in others if not standing and witness.standing > 0]
    down = [witness.name for witness in others if not standing and witness.standing < 0]
    groups = ((agree, "agree"), (against, "say the opposite"), (open_, "leave it open"), (up, "rose"), (down, "fell"))
    return "".join(f"; {_names(names)} {_verb(verb, len(names))}" for names, verb in groups if names)


def _silent(witnesses: Sequence[Witness]) -> str:
    names = [witness.name for witness in witnesses if not witness.is_known]
    return f"; {_names(names)} gave no score" if names else ""


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _verb(verb: str, number: int) -> str:
    single = {"agree": "agrees", "say the opposite": "says the opposite", "leave it open": "leaves it open"}
    return verb if number > 1 else single.get(verb, verb)


def _one_set(found: Interval, ceiling: float | None) -> str:
    told = f"{found.middle('.1f', percent=True)} % of {found.n:,} pairs ({found.ends('.1f', percent=True)}"
    best = f"; at best {number_text(ceiling, '.1f', percent=True)}" if _finite(ceiling) else ""
    return f"{told}{best})"


def _from_to(worst: tuple[str, Interval, float | None], best: tuple[str, Interval, float | None]) -> str:
    ends = [
        f"{found.middle('.1f', percent=True)} % ({name[:1].lower()}{name[1:]}, {found.ends('.1f', percent=True)})"
        for name, found, _ in (worst, best)
    ]
    return ends[0] + " of pairs" if worst is best else f"{ends[0]} to {ends[1]} of pairs"


def _against_chance(sides: Sequence[Standing], sets: int) -> str:
    better, worse, open_ = sides.count(1), sides.count(-1), sides.count(0) + sets - len(sides)
    if sets == 1:
        return "Better than a coin" if better else "Worse than a coin" if worse else "Not decided against a coin"
    if better == sets:
        return f"Better than a coin on all {sets} sets"
    parts = ((better, "better than a coin"), (worse, "worse"), (open_, "not decided"))
    told = ", ".join(f"{word} on {count}" for count, word in parts if count)
    return f"Of {sets} sets, {told}"


def _ahead_told(judge: str, first: str, sides: Counter[Standing]) -> str:
    total = sum(sides.values())
    if sides[0] == total:
        return f"Whether {first} or {judge} is ahead is not decided"
    front, back, wins, losses = (judge, first, sides[1], sides[-1]) if sides[1] else (first, judge, sides[-1], 0)
    told = f"{front} is ahead of {back} on {wins} of {total} set{'s' * (total > 1)}"
    behind = f", behind on {losses}" if losses else ""
    return told + behind + (f", not decided on {sides[0]}" if sides[0] else "")


def _finite(number: float | None) -> bool:
    return number is not None and math.isfinite(number)
