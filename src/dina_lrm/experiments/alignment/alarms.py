"""What the alarm would have done in each run of the alignment study: with the truth, and with the truth hidden.

Where prompts are real nobody knows the truth: what counts is what is heard without it, and what rolling back by golden
reward alone would have kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dina_lrm.alignment.monitor.alarm import AlarmSettings, Finding, alarms
from dina_lrm.alignment.monitor.records import best_record
from dina_lrm.experiments.alignment.cells import AlignedCell


def heard(cell: AlignedCell, truth: bool) -> list[Finding]:
    """The alarms of a run, with or without the true utility among what is looked at."""
    history = cell.history if truth else replace(cell.history, utility=None)
    return alarms(history, AlarmSettings(window=window_of(cell)))


def window_of(cell: AlignedCell) -> int:
    """Looks that its alarm takes trends over."""
    return int(cell.config["looks"]["window"])


def rolled_back(cell: AlignedCell) -> int:
    """The look that is kept where the first alarm without the truth stops the run; the last where none sounds."""
    found = heard(cell, truth=False)
    if not found:
        return len(cell.records) - 1
    first = found[0].step
    since = min(finding.since for finding in found if finding.step == first)
    return cell.steps().index(best_record(cell.records, since).step)


def best_look(cell: AlignedCell) -> int:
    """The look with the highest mean true utility, which only the truth can choose."""
    return int(np.argmax([cell.values("utility", look).mean() for look in range(len(cell.records))]))


def alarmed(own: Sequence[AlignedCell], truth: bool) -> str:
    """In how many seeds an alarm sounded, the first step at which one did, and what it said."""
    found = [each for each in (heard(cell, truth) for cell in own) if each]
    if not found:
        return f"0 of {len(own)}"
    kinds = dict.fromkeys(finding.kind for each in found for finding in each)
    first = min(each[0].step for each in found)
    return f"{len(found)} of {len(own)}, first at {first:.0f}: {', '.join(kinds)}"
