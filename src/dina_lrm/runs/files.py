"""Files that are whole or not there at all, on disk when the writer returns, and readable by whom the umask allows.

A file is written under a temporary name beside its own, flushed and renamed; then its folder is flushed. What a killed
writer leaves has a name that only this module makes, `.dina-lrm.PID.MACHINE.HASH.tmp`, and goes at the next writing
of that machine into the same folder, or by `clear_litter`: whether the writer of another one lives, nobody can say.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from torch import Tensor

_LITTER = re.compile(r"\.dina-lrm\.(\d+)\.([0-9a-f]{8})\.[0-9a-f]{12}\.tmp(\..{1,16})?")
_ASIDE = ".dina-lrm.{}.old"
_NUMBERS = itertools.count()


@contextmanager
def replaced_when_complete(path: Path) -> Iterator[Path]:
    """A temporary name beside `path` to write a file to; it takes the place of `path` when the block ends well.

    A link is followed: what it points to is replaced. Raises ValueError for a path that is no regular file.
    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise DinaError(f"{path}: is no regular file; accepted: a new name, or a file that may be replaced")
    clear_dead(path.parent)
    temporary = temporary_name(path, path.suffix if len(path.suffix) <= 16 else "")
    temporary.touch()  # so that its mode is what the umask says, whatever a library would choose
    mode = stat.S_IMODE(temporary.stat().st_mode)
    try:
        yield temporary
        os.chmod(temporary, mode)
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_replaced_when_complete(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to write to; it takes the place of `folder` when the block ends well.

    Whether an earlier `folder` may be replaced is for the caller to know (`ownership.check_replaceable`). Between the
    two renames that exchange them a kill leaves none of the name; `recover_folder` puts the earlier one back.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover_folder(folder)
    clear_dead(folder.parent)
    temporary = temporary_name(folder)
    temporary.mkdir()
    try:
        yield temporary
        by_umask(temporary)
        flush_tree(temporary)
        replace_folder(temporary, folder)
    except BaseException:
        recover_folder(folder)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(_aside(folder), ignore_errors=True)


def replace_folder(whole: Path, folder: Path) -> None:
    """Let the folder `whole`, which is flushed, take the place of `folder` beside it; see `recover_folder`."""
    aside = _aside(folder.absolute())
    if folder.exists():
        os.replace(folder, aside)
    try:
        os.replace(whole, folder)
    except BaseException:
        recover_folder(folder)
        raise
    flush(folder.absolute().parent)
    shutil.rmtree(aside, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo an exchange of folders that a kill cut in two: the earlier folder gets its name back."""
    aside = _aside(folder.absolute())
    if aside.is_dir() and not folder.exists():
        os.replace(aside, folder)
    elif aside.is_dir():
        shutil.rmtree(aside)


def write_text(path: Path, text: str) -> None:
    """Put `text` into `path` as UTF-8: whole, flushed. A device or a pipe (`/dev/stdout`) is written to as it is."""
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, encoding="utf-8")
        return
    with replaced_when_complete(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: Path, values: object, indent: int | None = 2) -> None:
    """Put plain values into `path` as JSON, as `write_text` does; ValueError for NaN, which JSON does not have."""
    write_text(path, json.dumps(values, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, whole and flushed, from tensors of any device and layout."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    with replaced_when_complete(path) as temporary:
        save_file(plain, temporary, None if metadata is None else dict(metadata))


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Add one JSON object as a line; it is on disk when this returns."""
    append_text(path, json.dumps(values, allow_nan=False, ensure_ascii=False) + "\n")


def append_text(path: Path, text: str) -> None:
    """Add whole lines to a file that grows; they are on disk when this returns."""
    with path.open("ab") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def clear_litter(folder: Path) -> None:
    """Remove what killed writers left in `folder`, not below it; only where no other process writes (`one_writer`)."""
    _clear(folder, lambda writer, host: (writer, host) != (os.getpid(), machine()))


def clear_dead(folder: Path) -> None:
    """Remove what writers of this machine that are no more left in `folder`, not below it; others may write there."""
    _clear(folder, lambda writer, host: host == machine() and not alive(writer))


def is_litter(path: Path) -> bool:
    """Whether a file or folder is called as what killed writers leave."""
    return _LITTER.fullmatch(path.name) is not None


def by_umask(folder: Path) -> None:
    """Give every file below a folder the mode that the umask asks for: some libraries write for their owner alone."""
    probe = temporary_name(folder / "mode")
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for place, _, names in os.walk(folder):
        for name in names:
            if not (Path(place) / name).is_symlink():
                os.chmod(Path(place) / name, mode)


def flush(path: Path) -> None:
    """Bring a file or a folder's list of names to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open a folder to flush it
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Bring a folder and all in it to the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            if not (Path(place) / name).is_symlink():
                flush(Path(place) / name)
        flush(Path(place))


def temporary_name(path: Path, suffix: str = "") -> Path:
    """A name beside `path` to write it under, another at each call: threads may write the same file at once.

    What a killed process leaves of that name is litter.
    """
    own = _hash(f"{path.name}/{next(_NUMBERS)}")
    return path.with_name(f".dina-lrm.{os.getpid()}.{machine()}.{own}.tmp{suffix}")


@cache
def machine() -> str:
    """Hash this machine's name: numbers of processes mean nothing on another machine, or in another container."""
    return hashlib.sha256(platform.node().encode(errors="surrogateescape")).hexdigest()[:8]


def _aside(folder: Path) -> Path:
    return folder.with_name(_ASIDE.format(_hash(folder.name)))


def _hash(name: str) -> str:
    """In place of a name, which may be too long to be lengthened."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:12]


def _clear(folder: Path, is_litter: Callable[[int, str], bool]) -> None:
    for entry in os.scandir(folder) if folder.is_dir() else ():
        found = _LITTER.fullmatch(entry.name)
        if found is None or not is_litter(int(found.group(1)), found.group(2)):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(entry.path)


def alive(process: int) -> bool:
    """Whether a process of this machine runs; True where nobody can say."""
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
