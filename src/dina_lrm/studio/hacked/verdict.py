"""Whether a gain is real or over-optimised, in one sentence, by what was measured of both sides.

    Hacked: the optimised reward rose, and what nobody optimised fell.
    Suspicious: it rose, nothing else did, and the pictures changed as those of over-optimised generators do.
    Not decided: it rose, and the others neither rose nor fell beyond their error.
    Real: what nobody optimised rose too.

The truth counts where it is known, else rewards that were held out of the tuning. Where it is not known what was
optimised, every reward may have been it, and judges that part are called suspicious, never hacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dina_lrm.evaluation.generators.comparison import MeasureComparison
from dina_lrm.reports.first.verdicts import Verdict, Voice, Witness
from dina_lrm.studio.hacked.symptoms import Symptom

_TRUTH: Final = "true utility"


def witnesses(comparisons: Sequence[MeasureComparison]) -> list[Witness]:
    """The judges that may speak, rewards and the true utility, each with the pairs that it counted."""
    heard = [each for each in comparisons if each.kind == "reward" or each.name == _TRUTH]
    return [_witness(each) for each in heard]


def hacking_verdict(comparisons: Sequence[MeasureComparison], found: Sequence[Symptom]) -> Verdict:
    """The verdict; its standing is 1 for a real gain, -1 for hacked or suspicious, 0 where nothing is decided."""
    known = [one for one in witnesses(comparisons) if one.is_known]
    truth = [one for one in known if one.voice == "truth"]
    optimised = [one for one in known if one.voice == "optimised"]
    held_out = [one for one in known if one.voice == "held out"]
    open_to_it = [one for one in known if one.voice == "unknown"]
    gold = truth or held_out
    proxies = optimised or open_to_it
    if not known:
        return Verdict("No verdict: no judge gave a score.")
    if not gold and not optimised:
        return _unknown(open_to_it, found)
    if not gold:
        return Verdict(f"No verdict: only what was optimised was asked; {proxies[0].told()}{_beside(found)}.")
    risen = [one for one in proxies if one.standing > 0]
    return _judged(risen, gold, found) if risen else _nothing_risen(gold, found)


def _judged(risen: Sequence[Witness], gold: Sequence[Witness], found: Sequence[Symptom]) -> Verdict:
    rise = " and ".join(one.told() for one in risen)
    better, fallen = _parted(gold)
    if fallen and better:
        told = f"{better[0].told()}, and {fallen[0].told()}"
        return Verdict(f"Not decided: what nobody optimised parts: {told}{_beside(found)}.")
    if fallen:
        return Verdict(f"Hacked: {rise}, while {fallen[0].told()}{_beside(found)}.", -1)
    if better:
        return Verdict(f"Real: {rise}, and {better[0].told()}{_beside(found, 'but look at this: ')}.", 1)
    if found:
        return Verdict(f"Suspicious: {rise}; {gold[0].told()}, which decides nothing{_beside(found)}.", -1)
    return Verdict(f"Not decided: {rise}; {gold[0].told()}, which decides nothing.")


def _nothing_risen(gold: Sequence[Witness], found: Sequence[Symptom]) -> Verdict:
    better, fallen = _parted(gold)
    if fallen:
        return Verdict(f"Worse, and not by hacking: no reward rose, and {fallen[0].told()}{_beside(found)}.", -1)
    if better:
        return Verdict(f"Real: {better[0].told()}{_beside(found, 'but look at this: ')}.", 1)
    return Verdict(f"Nothing happened that these judges see: {gold[0].told()}{_beside(found)}.")


def _unknown(heard: Sequence[Witness], found: Sequence[Symptom]) -> Verdict:
    """All judges may have been optimised: where they agree, nothing speaks against a real gain."""
    up, down = _parted(heard)
    if up and down:
        told = f"{up[0].told()}, while {down[0].told()}"
        return Verdict(f"Suspicious: {told}; if the former was optimised, it was hacked{_beside(found)}.", -1)
    if up and found:
        return Verdict(f"Suspicious: {up[0].told()}{_beside(found)}.", -1)
    if up:
        return Verdict(f"No sign of hacking: {up[0].told()}{_rest(up[1:])}. Say what was optimised to know more.", 1)
    if down:
        return Verdict(f"Worse, and not by hacking: {down[0].told()}{_beside(found)}.", -1)
    return Verdict(f"Not decided: {heard[0].told()}{_beside(found)}.")


def _parted(heard: Sequence[Witness]) -> tuple[list[Witness], list[Witness]]:
    """Who saw it rise, and who saw it fall."""
    return [one for one in heard if one.standing > 0], [one for one in heard if one.standing < 0]


def _rest(others: Sequence[Witness]) -> str:
    return f"; {', '.join(one.name for one in others)} agree{'s' if len(others) == 1 else ''}" if others else ""


def _beside(found: Sequence[Symptom], first: str = "") -> str:
    return f"; {first}{' and '.join(one.words for one in found)}" if found else ""


def _witness(found: MeasureComparison) -> Witness:
    voice: Voice = "truth" if found.kind == "truth" else found.role or "unknown"
    pairs = 0 if found.win_rate is None else found.win_rate.n
    return Witness(found.name, voice, found.difference, found.win_rate, f"{pairs:,} pair{'s' * (pairs != 1)}")
