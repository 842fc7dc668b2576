"""What this program made, and may therefore replace: nothing else is ever removed.

A folder that may be written again holds a marker, `.dina-lrm.json`: what kind of artefact it is and the SHA-256 of each
of its files, of a link that of the place it names. A folder without the marker, of another kind, with a file that the
marker does not know, or with one that was changed since, belongs to somebody: it is refused by name and stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dina_lrm.runs.content import content_of
from dina_lrm.runs.files import folder_replaced_when_complete, recover_folder, write_json
from dina_lrm.runs.json_files import read_json_object, read_record
from dina_lrm.typed import DinaError, to_plain

MARKER: Final = ".dina-lrm.json"


FOREIGN: Final = "was not made by this program"
CHANGED: Final = "was changed since it was made"
GONE: Final = "is gone"


class NotReplaceableError(FileExistsError, DinaError):
    """Raised for what was not made by this program, or is not to be exchanged; nothing was removed."""


@dataclass(frozen=True)
class Made:
    """What the marker says. `id` is a hash of the rest, so that equal artefacts are equal to the byte."""

    made_by: str
    kind: str
    files: dict[str, str]
    id: str


def mark(folder: Path, kind: str, kept: Mapping[str, str] | None = None) -> None:
    """Write the marker of a folder that is complete; a file that comes later is somebody else's.

    `kept` are hashes of an earlier marker that stay, of files which somebody has changed since.
    """
    files = {name: _digest(path) for name, path in sorted(_entries(folder)) if name != MARKER} | dict(kept or {})
    told = "\n".join([kind, *(f"{digest} {name}" for name, digest in files.items())])
    found = Made("dina-lrm", kind, files, hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest())
    write_json(folder / MARKER, to_plain(found))


def is_made_here(folder: Path, kind: str) -> bool:
    """Whether `folder` may be replaced by another artefact of that kind."""
    return _reason_against(folder.expanduser().resolve(), kind) is None


@contextmanager
def made_folder(folder: Path, kind: str) -> Iterator[Path]:
    """An empty folder to write an artefact to; marked, it takes the place of `folder` when the block ends well.

    A link is followed: what it points to is replaced. Until then an earlier artefact stays where it is.
    Raises NotReplaceableError as `check_replaceable`, before and again after the block, as somebody may have put a file
    there meanwhile.
    """
    folder = folder.expanduser().resolve()
    check_replaceable(folder, kind)
    recover_folder(folder)
    with folder_replaced_when_complete(folder) as temporary:
        yield temporary
        mark(temporary, kind)
        check_replaceable(folder, kind)


@contextmanager
def amended_folder(folder: Path, kind: str, theirs: Sequence[str] = ()) -> Iterator[Path]:
    """The files of a folder that this program made, in another place, to write some of them anew.

    They take the place of `folder` when the block ends well; until then it stays as it is. Files called as in `theirs`
    may have been changed by somebody, and then stay somebody's. Raises NotReplaceableError as `check_amendable`.
    """
    folder = folder.expanduser().resolve()
    check_amendable(folder, kind, theirs)
    before = read_record(Made, folder / MARKER).files
    kept = {name: before[name] for name in changed_files(folder) if name in theirs}
    with folder_replaced_when_complete(folder) as temporary:
        for name, path in _entries(folder):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            _link(path, temporary / name)
        yield temporary
        mark(temporary, kind, kept)
        _check(folder, kind, theirs)


def check_amendable(folder: Path, kind: str, theirs: Sequence[str] = ()) -> None:
    """Pass a folder of that kind which this program made and nobody touched, files called as in `theirs` aside.

    Raises NotReplaceableError naming what is in the way.
    """
    folder = folder.expanduser().resolve()
    if not (folder / MARKER).is_file():
        raise NotReplaceableError(f"{folder}: no {MARKER} says that this program made it; accepted: {_article(kind)}")
    _check(folder, kind, theirs)


def made_by(folder: Path) -> Made | None:
    """What the marker of a folder says, None where it has none. ValueError for a marker that cannot be read."""
    return read_record(Made, folder / MARKER) if (folder / MARKER).is_file() else None


def changed_files(folder: Path) -> dict[str, str]:
    """By name, what is wrong with files of a folder that has a marker: `FOREIGN`, `CHANGED` or `GONE`."""
    made, entries = read_record(Made, folder / MARKER), dict(_entries(folder))
    found = {name: FOREIGN for name in entries if name not in {*made.files, MARKER}}
    found |= {name: GONE for name in made.files if name not in entries}
    ours = {name: digest for name, digest in made.files.items() if name in entries}
    found |= {name: CHANGED for name, digest in ours.items() if _differs(entries[name], digest)}
    return dict(sorted(found.items()))


def check_replaceable(folder: Path, kind: str) -> None:
    """Pass a name that is free, an empty folder, and what this program made of that kind and nobody touched.

    Raises NotReplaceableError naming the file that is in the way.
    """
    _check(folder.expanduser().resolve(), kind)


def _check(folder: Path, kind: str, theirs: Sequence[str] = ()) -> None:
    reason = _reason_against(folder, kind, theirs)
    if reason is not None:
        raise NotReplaceableError(
            f"{reason}; nothing was removed. Accepted: a new name, an empty folder, or {_article(kind)}"
        )


def check_results(
    folder: Path, result: str, is_ours: Callable[[Mapping[str, Any]], bool], others: Sequence[str] = ()
) -> None:
    """Pass a folder whose results may be written over: those of an earlier command, or none.

    `result` is the JSON file that `is_ours` knows, written before `others`, files and folders beside it. Raises
    NotReplaceableError naming one of these names where what lies there is somebody's own.
    """
    folder = folder.expanduser()
    taken = next((name for name in (result, *others) if os.path.lexists(folder / name)), None)
    if taken is None:
        return
    try:
        ours = is_ours(read_json_object(folder / result))
    except (ValueError, FileNotFoundError):
        ours = False
    if not ours:
        raise NotReplaceableError(
            f"{folder}: holds {taken!r}, and no {result} of an earlier run of this command beside it; nothing was "
            "written over. Accepted: another folder"
        )


def check_page(path: Path, sign: str) -> None:
    """Pass a page that may be written over: none, or one that says `sign`, so that a command of ours wrote it."""
    if path.is_dir() or (path.is_file() and sign.encode() not in path.read_bytes()):
        raise NotReplaceableError(
            f"{path}: is there, and nothing in it says that this program wrote it; nothing was written over. "
            "Accepted: another name"
        )


def page_beside(folder: Path) -> Path:
    """FOLDER.md, the page about a folder of results, whichever way the folder is named."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}.md")


def check_no_leftovers(folder: Path, names: Sequence[str], record: str) -> None:
    """Refuse to begin where a run's files lie without the `record` that says whose they are."""
    taken = next((name for name in names if os.path.lexists(folder / name)), None)
    if taken is not None and not os.path.lexists(folder / record):
        raise NotReplaceableError(
            f"{folder}: holds {taken!r} and no {record}, so that nobody knows whose it is; nothing was removed. "
            "Accepted: another folder"
        )


def _reason_against(folder: Path, kind: str, theirs: Sequence[str] = ()) -> str | None:
    if not folder.exists():
        return None
    if not folder.is_dir():
        return f"{folder}: is a file"
    if Path.cwd().is_relative_to(folder):
        return f"{folder}: is the working directory, or holds it, and cannot be exchanged"
    if folder.is_mount():
        return f"{folder}: is where a disk is mounted, and cannot be exchanged"
    entries = dict(_entries(folder))
    if not entries:
        return None
    first = min(entries)
    if MARKER not in entries:
        return f"{folder}: holds {first!r}, and no {MARKER} says that this program made the folder"
    try:
        made = read_record(Made, folder / MARKER)
    except ValueError as error:
        return str(error)
    if made.kind != kind:
        return f"{folder}: is {_article(made.kind)}"
    foreign = sorted(entries.keys() - made.files.keys() - {MARKER})
    if foreign:
        return f"{folder}: holds {foreign[0]!r}, which this program did not make"
    ours = [(name, path) for name, path in sorted(entries.items()) if name != MARKER and name not in theirs]
    changed = [name for name, path in ours if _differs(path, made.files[name])]
    return f"{folder}: {changed[0]!r} {CHANGED}" if changed else None


def _link(path: Path, to: Path) -> None:
    """The same file under another name where the disk can do that, else a copy: weights are not written twice."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copy2(path, to)


def _differs(path: Path, digest: str) -> bool:
    return not (path.is_symlink() or path.is_file()) or _digest(path) != digest


def _digest(path: Path) -> str:
    """A hash of a file's bytes, or of the place that a link names: what lies there is somebody else's."""
    if path.is_symlink():
        return f"link {hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()}"
    return content_of(path)


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything below a folder but folders that hold something, by the name relative to it; links are not followed."""
    for place, folders, names in os.walk(folder):
        linked = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in [*names, *linked]:
            yield (Path(place) / name).relative_to(folder).as_posix(), Path(place) / name


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} that this program made"
