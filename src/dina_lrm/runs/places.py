"""Where a run may write: found out by trying, before anything is computed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from dina_lrm.runs.files import clear_dead, temporary_name
from dina_lrm.screen import bytes_text
from dina_lrm.typed import DinaError


def check_folder(option: str, folder: Path) -> None:
    """ValueError for a folder that cannot be made or written in, before anything is computed; it is not made."""
    nearest = _nearest(option, folder)
    if not nearest.is_dir():
        raise DinaError(f"{option} {folder}: {nearest} is a file; accepted: a folder, or a new name")
    _try_to_write(option, folder, nearest)


def check_new_folder(option: str, folder: Path) -> None:
    """Check as `check_folder` does, with ValueError for a folder that exists."""
    if os.path.lexists(folder):
        raise DinaError(f"{option} {folder}: exists already; give another folder, or remove it first")
    check_folder(option, folder)


def check_file(option: str, file: Path, suffixes: Sequence[str] = ()) -> None:
    """ValueError for a file that cannot be written, or whose name does not end as one of `suffixes`, if any."""
    if suffixes and file.suffix.lower() not in suffixes:
        raise DinaError(f"{option} {file}: ends in {file.suffix!r}; accepted: {', '.join(suffixes)}")
    nearest = _nearest(option, file)
    if file.is_dir():
        raise DinaError(f"{option} {file}: is a folder; accepted: the name of a file")
    if nearest == file and file.is_file() and not os.access(file, os.W_OK):
        raise DinaError(f"{option} {file}: may not be written; accepted: a file that is yours, or a new name")
    if nearest == file and not file.is_file():
        return  # a device or a pipe: opened when there is something to write
    folder = file.resolve().parent if nearest == file else nearest
    if not folder.is_dir():
        raise DinaError(f"{option} {file}: {folder} is a file; accepted: a name in a folder")
    _try_to_write(option, file, folder)


def check_room(folder: Path, needed: int, what: str) -> None:
    """ValueError where the disk of `folder` has less free than `needed` bytes, which `what` takes."""
    free = shutil.disk_usage(nearest_existing(folder)).free
    if free < needed:
        raise DinaError(
            f"{folder}: {bytes_text(free)} are free, and {what} need {bytes_text(needed)}; accepted: a disk with room"
        )


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest folder or file above it that exists; OSError for a name that the disk cannot hold."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _nearest(option: str, path: Path) -> Path:
    """The path, or the nearest folder or file above it that exists."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise DinaError(f"{option} {path}: {_reason(error)}; accepted: a name that the disk can hold") from error
    return nearest_existing(path)


def _try_to_write(option: str, path: Path, folder: Path) -> None:
    """Make a small file in a new folder there, and remove both: permissions do not tell of root, nor of a full disk."""
    clear_dead(folder)
    tried = temporary_name(folder / secrets.token_hex(6))
    try:
        tried.mkdir()
        (tried / "tried").write_bytes(bytes(4096))
    except OSError as error:
        raise DinaError(
            f"{option} {path}: nothing can be written in {folder} ({_reason(error)}); accepted: a folder that is yours"
        ) from error
    finally:
        shutil.rmtree(tried, ignore_errors=True)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
