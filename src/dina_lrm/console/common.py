"""What every command shares: its common options, its console, its progress bar, its two ways to fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dina_lrm.live.line import LiveLine
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.screen import Screen
from dina_lrm.typed import DinaError

FIRST_SEEDS = (0, 1, 2)
"""Seeds of studies, where no others are given."""


@dataclass(kw_only=True)
class CommonArguments:
    """Options of every command."""

    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the result as one JSON object to this file; a failure is written as {"error": ...}."""
    quiet: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print errors only."""
    verbose: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(aliases=("-v",))] = False
    """Say more on standard error: versions, what is loaded where and in what type, warnings of the libraries beneath,
    and ten times the lines of progress in a log."""

    @classmethod
    def meant(cls, words: Sequence[str]) -> tuple[type[CommonArguments], list[str]]:
        """The options and the words as they are meant; a command may fill in what other words say already."""
        return cls, list(words)

    def check(self) -> None:
        """Refuse what can be refused before the libraries are imported that the work needs. Raises UserError."""

    def claims(self) -> Path | None:
        """What no other command may write to while this one runs; None where it holds its place in a way of its own."""
        return None


class WritesToOut:
    """Options of a command that writes to `out` alone, and lets no other command write there meanwhile."""

    out: Path

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


class UserError(DinaError):
    """Bad input, exit code 2: the message says where, what was given and what is accepted."""


class CommandFailed(RuntimeError):
    """A command that ran on good input and did not succeed, exit code 1; `result` is still written to `--json`."""

    def __init__(self, message: str, result: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.result = dict(result or {})


def check_seeds(seeds: Sequence[int]) -> None:
    """UserError unless there are one or more different numbers of at least 0."""
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        given = " ".join(map(str, seeds))
        raise UserError(f"--seeds {given}; accepted: one or more different numbers of at least 0")


def study_command(name: str, studies: Sequence[str], seeds: Sequence[int], out: Path) -> str:
    """The command that writes a page of results again."""
    other = f" --seeds {' '.join(map(str, seeds))}" if tuple(seeds) != FIRST_SEEDS else ""
    return f"dina-lrm {name} {' '.join(studies)}{other} --out {out}"


def console(quiet: bool = False, live: bool = False) -> Screen:
    """Standard output for tables and results; silent when `quiet`.

    What is printed comes after the `--json` file is written; lines that tell how a long work goes on are `live`.
    """
    return Screen(quiet, live=live)


def progress(description: str, quiet: bool = False, unit: str = "") -> LiveLine:
    """How a long work goes on, on standard error: a line in a terminal, a line every tenth of the work in a log.

    Used as a context; it is called with (done, total), the form in which the library reports progress, and may be told
    the numbers of the work. `unit` is one of what is done, such as "pair", and says the rate.
    """
    return LiveLine(description, unit, quiet)


def titled_progress(quiet: bool = False, unit: str = "") -> TitledProgress:
    """Progress of a work in parts, each with a title: `progress` without its own words."""
    return lambda title: progress(title, quiet, unit)
