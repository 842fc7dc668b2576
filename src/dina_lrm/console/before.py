"""Options of commands that say what they will take before they begin, and refuse what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import FlagCreatePairsOff

from dina_lrm.console.common import CommonArguments, console

if TYPE_CHECKING:
    from dina_lrm.profiling.estimates.estimate import JobEstimate
    from dina_lrm.profiling.estimates.room import Room


@dataclass(kw_only=True)
class Forced(CommonArguments):
    """A command that is refused where it does not fit."""

    force: FlagCreatePairsOff[bool] = False
    """Begin although memory or disk will not do by what is counted beforehand."""


@dataclass(kw_only=True)
class SaysBefore(Forced):
    """A command that may say what it would take, and stop."""

    dry_run: FlagCreatePairsOff[bool] = False
    """Say what would be loaded, peak memory, disk and time, beside what is free, and stop."""


def check_room(estimate: JobEstimate, out: Path | None, force: bool) -> None:
    """Raise DinaError where the job does not fit, unless it is forced."""
    if not force:
        estimate.refuse(_room(estimate, out))


def say_estimate(estimate: JobEstimate, out: Path | None, quiet: bool) -> dict[str, object]:
    """Print the estimate; returns what `--json` writes of it."""
    room, shown = _room(estimate, out), console(quiet)
    for line in estimate.lines(room):
        shown.print(line)
    return {"estimate": estimate.to_dict(room)}


def _room(estimate: JobEstimate, out: Path | None) -> Room:
    from dina_lrm.profiling.estimates.room import free_room  # options are read without torch

    return free_room(estimate.device, out)
