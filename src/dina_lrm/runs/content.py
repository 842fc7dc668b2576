"""What a source holds, as one hash: the key of everything that is kept in order to go on later.

A name says nothing of what is behind it: a picture is drawn anew, a table's rows change places, a model is trained
again into the same folder. A hash of the bytes does; within a process it is remembered as long as the file keeps its
place, its size and its times.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_Stamp = tuple[int, int, int, int, int]
_known: dict[str, tuple[_Stamp, str]] = {}


def content_of(source: str | Path | bytes) -> str:
    """SHA-256, in hexadecimal, of the bytes given or of the file at the path given: equal for both forms.

    Raises OSError as opening the file does.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    path = os.path.abspath(source)
    before = _stamp(path)
    known = _known.get(path)
    if known is not None and known[0] == before:
        return known[1]
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if _stamp(path) == before:  # else it was written meanwhile: right for what was read, not for what lies there
        _known[path] = before, found
    return found


def content_of_files(folder: Path, paths: Iterable[Path]) -> str:
    """One hash of some files below `folder`: of their names relative to it and of what they hold, in any order."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        digest.update(f"{name}\0{content_of(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def content_of_folder(folder: Path, suffixes: tuple[str, ...] | None = None) -> str:
    """One hash of all regular files below `folder`, or of those with one of `suffixes`; hidden ones are left out."""
    return content_of_files(
        folder,
        (
            path
            for path in folder.rglob("*")
            if path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and (suffixes is None or path.suffix in suffixes)
        ),
    )


def _stamp(path: str) -> _Stamp:
    found = os.stat(path)
    # The change time cannot be set back by those who set the time of modification back
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
