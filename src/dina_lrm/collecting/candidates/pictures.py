"""Pairs of a folder or a table of pictures: every two of one prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.candidates.rounds import pair_count, pairs_in_rounds
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.pictures.names import shown
from dina_lrm.ranking.settings import ANY_PROMPT
from dina_lrm.rewards.scoring.prompts import NoPromptsError
from dina_lrm.rewards.scoring.rows import ScoreRow, ScoreRows, read_score_rows
from dina_lrm.typed import DinaError


def candidates(settings: AnnotateSettings) -> Candidates:
    """Every two pictures of one prompt. Raises DinaError where no two pictures have a prompt in common."""
    where = Path(settings.where)
    rows, notes = prompted_rows(where, settings.prompt)
    groups: dict[str, list[ScoreRow]] = {}
    found = Candidates(where.resolve().name, iter(()), notes=notes)
    for row in rows:
        if row.source is None:
            found.leave_out(row.fault or "no picture", row.image)
        else:
            groups.setdefault(row.prompt, []).append(row)
    alone = [own[0].image for own in groups.values() if len(own) == 1]
    for name in alone:
        found.leave_out("the only picture of its prompt", name)
    several = [own for own in groups.values() if len(own) > 1]
    if not several:
        raise DinaError(
            f"{shown(where)}: no two of {len(rows)} pictures have the same prompt; accepted: --prompt TEXT, by which "
            "all are compared, or a folder with more pictures"
        )
    found.count = pair_count(several)
    found.pairs = _pairs(several, settings.seed)
    return found


def prompted_rows(where: Path, prompt: str | None) -> tuple[ScoreRows, list[str]]:
    """The pictures of a folder or a table with their prompts, and sentences on what was found."""
    try:
        rows, notes = read_score_rows(where, prompt), []
    except NoPromptsError:
        rows = read_score_rows(where, ANY_PROMPT)
        notes = [f"no prompt and no captions: all pictures are compared as “{ANY_PROMPT}”"]
    if rows.note is not None:
        notes.append(rows.note)
    if rows.scan.left_out:
        notes.append(f"{rows.scan.found} files and folders found; {rows.scan.told()}")
    return rows, notes


def _pairs(groups: list[list[ScoreRow]], seed: int) -> Iterator[Candidate]:
    for one, other in pairs_in_rounds(groups, seed):
        assert one.source is not None and other.source is not None
        yield Candidate(one.prompt, one.source, other.source, "pictures")
