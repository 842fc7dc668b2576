"""One writer a folder or table: a second one is refused at once, and told who is there.

The lock is the operating system's, so that it ends with its process, however that ends. A folder is locked itself; a
table by a hidden file beside it, which goes with the lock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dina_lrm.runs.places import nearest_existing
from dina_lrm.typed import DinaError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


_NOT_THERE: Final = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems say that lock files only, as network ones do."""


class BusyError(DinaError):
    """Another process writes to the same place."""


@contextmanager
def held_folder(folder: Path, holds: bool = True) -> Iterator[None]:
    """Make `folder` and hold it for this process alone; one that stayed empty goes again.

    Without `holds` nothing happens: another process of the same launch is the one that writes.
    Raises BusyError as `one_writer`, FileExistsError for a file of that name.
    """
    if not holds:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with one_writer(folder):
        try:
            yield
        finally:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def check_free(folder: Path) -> None:
    """Raise BusyError where another process holds `folder`: a first look, before anything long; it is not made."""
    if folder.is_dir():
        with one_writer(folder):
            pass


@contextmanager
def one_writer(target: Path, waits_for: str = "it to end") -> Iterator[None]:
    """Hold `target`, a folder that exists or a file to be, for this process alone.

    Raises:
        BusyError: another process holds it, or this one does already.
    """
    target = target.absolute()
    beside = target.with_name(f".{target.name}.lock")
    place = target if target.is_dir() and os.name != "nt" else beside
    try:
        descriptor = _locked(place, place == target)
    except OSError as error:
        if place == beside or error.errno not in _NOT_THERE:
            raise
        place, descriptor = beside, _locked(beside, is_folder=False)
    with _held(descriptor, None if place == target else place, target, waits_for):
        yield


@contextmanager
def held_name(target: Path) -> Iterator[None]:
    """Hold the name `target` for this process alone, whatever lies there or comes to lie there meanwhile.

    The lock is a hidden file in the nearest folder above that exists; where none can be made, nothing is held, and
    writing to `target` will say why. Raises BusyError where another process holds the name.
    """
    target = target.expanduser().resolve()
    place = nearest_existing(target.parent) / f".dina-lrm.{hashlib.sha256(os.fsencode(target)).hexdigest()[:12]}.lock"
    try:
        descriptor = _locked(place, is_folder=False)
    except OSError:
        yield
        return
    with _held(descriptor, place, target, "it to end"):
        yield


@contextmanager
def _held(descriptor: int | None, beside: Path | None, target: Path, waits_for: str) -> Iterator[None]:
    """Hold what `_locked` gave until the block ends; the file `beside` the target that is locked goes with it."""
    if descriptor is None:
        raise BusyError(f"{target}: another process is writing there; wait for {waits_for}, or give another name")
    try:
        yield
    finally:
        if beside is not None:
            with suppress(OSError):  # while it is held, so that nobody can hold a file without a name
                beside.unlink()
        os.close(descriptor)


def _locked(place: Path, is_folder: bool) -> int | None:
    """An open descriptor that holds `place`, or None when another one does."""
    while True:
        descriptor = os.open(place, os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _try_lock(descriptor):
                os.close(descriptor)
                return None
            if _same_file(descriptor, place):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it between our opening and our locking


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _same_file(descriptor: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(place))
    except FileNotFoundError:
        return False
