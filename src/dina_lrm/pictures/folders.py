"""The pictures of a folder: what is read and what is left out, so that together they are all that was found."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from dina_lrm.pictures.files import SUFFIXES
from dina_lrm.pictures.names import printable, shown
from dina_lrm.typed import DinaError

HIDDEN: Final = "hidden"
LINKED: Final = "linked folder"
DANGLING: Final = "link to nothing"
UNREADABLE: Final = "folder that cannot be read"
DEVICE: Final = "no regular file"


@dataclass
class PictureFolder:
    """Names of pictures, sorted, relative to the folder with `/` between parts; and what else lies there, by reason.

    A hidden or linked folder counts once, as what is in it is not looked at. Names that begin with a dot are hidden,
    among them the `._` files that macOS leaves on other disks.
    """

    names: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    example: dict[str, str] = field(default_factory=dict)
    beside: int = 0
    """Files that are read beside the pictures, as their captions are."""

    @property
    def found(self) -> int:
        """All that was found: what is read and what is left out."""
        return len(self.names) + self.beside + self.left_out.total()

    def leave_out(self, name: str, reason: str) -> None:
        """Count a file or folder that is not read."""
        self.left_out[reason] += 1
        self.example.setdefault(reason, name)

    def read_beside(self, name: str) -> None:
        """Count a file that was left out and is read after all, for what it says of the pictures."""
        reason = f"called {printable(posixpath.splitext(name)[1].lower())}"
        self.left_out[reason] -= 1
        self.left_out += Counter()  # drops what is not counted any more
        self.beside += 1
        if self.example.get(reason) == name:
            del self.example[reason]

    def without(self, names: Collection[str], reason: str) -> PictureFolder:
        """The same folder, with some of its pictures left out too."""
        left = [name for name in self.names if name in names]
        if not left:
            return self
        kept = [name for name in self.names if name not in names]
        counts = self.left_out + Counter({reason: len(left)})
        return replace(self, names=kept, left_out=counts, example={reason: left[0], **self.example})

    def told(self) -> str:
        """What was left out, as a sentence; empty where nothing was."""
        if not self.left_out:
            return ""
        reasons = (f"{count} {reason}{self._such_as(reason)}" for reason, count in self.left_out.most_common())
        return f"{self.left_out.total()} left out: {', '.join(reasons)}"

    def _such_as(self, reason: str) -> str:
        return f" (such as {shown(self.example[reason])})" if reason in self.example else ""


def scan_pictures(folder: Path) -> PictureFolder:
    """Look through a folder and all below it; links to files are followed, links to folders are not.

    Raises ValueError for a folder that cannot be read itself.
    """
    found = PictureFolder()
    for name, reason in _entries(folder):
        if reason is None:
            found.names.append(name)
        elif not name:
            raise DinaError(f"{shown(folder)}: {reason}; accepted: a folder of pictures that may be read")
        else:
            found.leave_out(name, reason)
    found.names.sort()
    return found


def _entries(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Each file, and each folder that is not entered, by its name and the reason why it is not read."""
    unread: list[str] = []
    for place, folders, files in os.walk(folder, onerror=lambda error: unread.append(str(error.filename))):
        for name in [*folders, *files]:
            path = Path(place, name)
            reason = _reason(path, name in folders)
            if reason is not None or name not in folders:
                yield path.relative_to(folder).as_posix(), reason
        folders[:] = [name for name in folders if _reason(Path(place, name), True) is None]
    for place in unread:
        name = os.path.relpath(place, folder)
        yield "" if name == "." else name, UNREADABLE


def _reason(path: Path, is_folder: bool) -> str | None:
    """Why a file is not read, or a folder not entered."""
    if path.name.startswith("."):
        return HIDDEN
    if is_folder:
        return LINKED if path.is_symlink() else None
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        return f"called {printable(suffix)}" if suffix else "without a suffix"
    if not path.exists():
        return DANGLING
    return None if path.is_file() else DEVICE
