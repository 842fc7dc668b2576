"""Pairs of two folders: the picture of a name in one against the picture of that name in the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from dina_lrm.collecting.candidates.candidate import Candidate, Candidates
from dina_lrm.collecting.candidates.pictures import prompted_rows
from dina_lrm.collecting.settings import AnnotateSettings
from dina_lrm.pictures.folders import scan_pictures
from dina_lrm.pictures.names import printable, shown
from dina_lrm.typed import DinaError


def candidates(settings: AnnotateSettings) -> Candidates:
    """The pictures of a name in both folders; prompts are those of the first.

    Names count without their suffix, where that leaves them apart. Raises DinaError where no name is in both.
    """
    assert settings.against is not None
    first, second = Path(settings.where), settings.against
    rows, notes = prompted_rows(first, settings.prompt)
    others = scan_pictures(second)
    found = Candidates(f"{first.resolve().name} against {second.resolve().name}", iter(()), notes=notes)
    if others.left_out:
        notes.append(f"{shown(second)}: {others.found} files and folders found; {others.told()}")
    known = _by_name(others.names)
    met, pairs = set[str](), list[Candidate]()
    source = printable(f"{first.resolve().name} against {second.resolve().name}")
    for row in rows:
        name = known.get(row.image) or known.get(_bare(row.image))
        if row.source is None or name is None:
            found.leave_out(row.fault or f"only in {shown(first)}", row.image)
        else:
            met.add(name)
            pairs.append(Candidate(row.prompt, row.source, second / name, source))
    for name in others.names:
        if name not in met:
            found.leave_out(f"only in {shown(second)}", name)
    if not pairs:
        raise DinaError(f"{shown(first)}, --against {shown(second)}: no picture has the same name in both folders")
    Random(settings.seed).shuffle(pairs)
    found.count, found.pairs = len(pairs), _read(pairs)
    return found


def _by_name(names: list[str]) -> dict[str, str]:
    """The file of each name, whole or without its suffix; a bare name that two files share means neither."""
    bare: dict[str, str | None] = {}
    for name in names:
        bare[_bare(printable(name))] = None if _bare(printable(name)) in bare else name
    return {key: name for key, name in bare.items() if name is not None} | {printable(name): name for name in names}


def _bare(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and "/" not in suffix else name


def _read(pairs: list[Candidate]) -> Iterator[Candidate]:
    yield from pairs
