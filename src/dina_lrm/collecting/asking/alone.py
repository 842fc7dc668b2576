"""The page as one file, for people whom no server reaches: sent by mail, opened anywhere; votes come back as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.candidates.kinds import open_candidates
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.pictures.files import decoded_bytes, file_bytes
from dina_lrm.reports.blind_vote import VotePair, write_blind_vote
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

_KINDS: Final = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


@dataclass(frozen=True)
class PageWritten:
    """A page, how many pairs are in it, and sentences on what is not."""

    page: Path
    pairs: int
    notes: tuple[str, ...]

    def told(self) -> list[str]:
        """Sentences for a terminal."""
        told = f"{self.pairs} pairs in {self.page}: send it, and bring in what comes back beside it"
        return [*self.notes, told, f"dina-lrm annotate import votes.sqlite page {self.page.parent / 'votes-....jsonl'}"]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a command's JSON."""
        return {"page": str(self.page), "pairs": self.pairs, "notes": list(self.notes)}


def write_page(settings: AnnotateSettings) -> PageWritten:
    """Write the pairs of a place, `settings.aim` at most, as the page `settings.page`.

    Pictures that are in no file are written beside it, so that votes can name them. Raises DinaError for a place with
    nothing to vote on, and OSError where the page cannot be written.
    """
    settings.check()
    assert settings.page is not None
    found, beside = open_candidates(settings), settings.page.with_name(f"{settings.page.stem}-pictures")
    pairs = _pairs(found, settings.aim, lambda data: _written(data, beside))
    if not pairs:
        raise DinaError(f"{settings.where}: no pair can be shown ({'; '.join(found.told()) or 'there is none'})")
    settings.page.absolute().parent.mkdir(parents=True, exist_ok=True)
    page = write_blind_vote(settings.page, pairs, None, seed=settings.seed)
    return PageWritten(page, len(pairs), (*found.notes, *found.told()))


def _pairs(found: Candidates, most: int, written: Callable[[bytes], Path]) -> list[VotePair]:
    pairs: list[VotePair] = []
    for candidate in found.pairs:
        if _is_shown(candidate, found):
            sides = (written(one) if isinstance(one, bytes) else one for one in (candidate.first, candidate.second))
            pairs.append(VotePair(candidate.prompt, *sides))
        if len(pairs) == most:
            break
    return pairs


def _is_shown(candidate: Candidate, found: Candidates) -> bool:
    """Whether both pictures can be read and differ; else why not is counted."""
    contents = set()
    for one in (candidate.first, candidate.second):
        name = "a picture" if isinstance(one, bytes) else str(one)
        try:
            data = one if isinstance(one, bytes) else file_bytes(one)
            decoded_bytes(data, name)
        except (ValueError, OSError):
            found.leave_out("a picture that cannot be read", name)
            return False
        contents.add(hashlib.sha256(data).digest())
    if len(contents) == 1:
        found.leave_out("a picture against itself", name)
    return len(contents) == 2


def _written(data: bytes, folder: Path) -> Path:
    suffix = next((name for mark, name in _KINDS if data.startswith(mark)), ".webp")
    path = folder / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replaced_when_complete(path) as aside:
            aside.write_bytes(data)
    return path
