"""What commands of studies share: studies by name, seeds, and a page of results that is written again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import FIRST_SEEDS, CommonArguments, UserError, WritesToOut, check_seeds
from dina_lrm.runs.ownership import check_page, check_results, page_beside
from dina_lrm.runs.places import check_folder


@dataclass
class StudyArguments(WritesToOut, CommonArguments):
    """Options of such a command."""

    names: Positional[tuple[str, ...]]
    """Which of them, or "all"."""
    out: Path = Path("study")
    """Folder for cells/, results.json, plots and pictures; the page beside it has its name, OUT.md."""
    seeds: tuple[int, ...] = FIRST_SEEDS
    """Each decides the training's start, data and noise; what is measured on is the same for all."""
    workers: int | None = None
    """How many at a time, one thread each; by default one a core."""


def check_study(
    given: StudyArguments,
    kind: str,
    known: Mapping[str, object],
    find: Callable[[str], object],
    command: str,
    counts: Mapping[str, int | None],
) -> None:
    """Refuse unknown names, numbers out of range, and results that are somebody else's. Raises UserError."""
    if not given.names:
        raise UserError(f"no {kind} was named; accepted: {', '.join(known)}, all")
    for name in chosen(given, known):
        find(name)
    for option, value in {**counts, "workers": given.workers}.items():
        if value is not None and value < 1:
            raise UserError(f"--{option} {value}; accepted: whole numbers of at least 1")
    check_seeds(given.seeds)
    check_folder("--out", given.out)
    check_results(given.out, "results.json", lambda found: found.keys() <= known.keys(), ("plots",))
    check_page(page_beside(given.out), command)


def chosen(given: StudyArguments, known: Mapping[str, object]) -> tuple[str, ...]:
    """The studies that are meant, by name."""
    return tuple(known) if given.names == ("all",) else given.names
