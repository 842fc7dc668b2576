"""The folder that a cache is made in, `NAME.partial`, until it takes its name: whose it is, and how it is taken up."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from dina_lrm.data.cache import format as layout
from dina_lrm.data.encoding.claims import CLAIMS
from dina_lrm.data.encoding.journal import JOURNALS
from dina_lrm.data.encoding.plan import ASIDE, PLAN
from dina_lrm.runs.files import clear_litter, flush, flush_tree, is_litter, write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.lock import BusyError, one_writer

HOLDER: Final = "writer.json"
"""Who writes there now, for whoever is refused."""
SAID: Final = "said-"
"""What the names of files begin with by which the processes of a launch speak to each other."""


def begun(out: Path, held: ExitStack) -> Path:
    """The folder that the cache `out` is made in, new or as an encoding that was stopped left it.

    It is for this process alone until `held` is closed. Raises FileExistsError as `check_free`; ValueError
    (`BusyError`) where another process writes there.
    """
    check_free(out)
    folder = layout.partial_folder(out)
    if out.exists():  # stopped between its last two steps
        os.replace(out, folder)
    folder.mkdir(parents=True, exist_ok=True)
    held.enter_context(_held(folder))
    for place in (folder, *folder.rglob("*")):
        if place.is_dir():
            clear_litter(place)
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process, and say in it who does. BusyError names who holds it already."""
    try:
        with one_writer(folder):
            write_json(folder / HOLDER, {"machine": platform.node(), "process": os.getpid(), "since": time.ctime()})
            try:
                yield
            finally:
                (folder / HOLDER).unlink(missing_ok=True)  # the folder may have another name by now
    except BusyError as error:
        raise BusyError(f"{error}{_who(folder)}") from error


def _who(folder: Path) -> str:
    with suppress(ValueError, OSError, KeyError):
        told = read_json_object(folder / HOLDER)
        return f" (process {told['process']} on {told['machine']}, since {told['since']})"
    return ""


def cleared(folder: Path) -> None:
    """Remove claims of writers that are no more: whoever holds the folder is the only one who lets others write."""
    shutil.rmtree(folder / CLAIMS, ignore_errors=True)
    for path in folder.glob(f"{SAID}*"):
        path.unlink(missing_ok=True)


def given_its_name(folder: Path, out: Path) -> None:
    """Make an unfinished cache, all of which is written, a cache: everything that only its making needed goes."""
    (folder / HOLDER).unlink(missing_ok=True)
    for path in folder.glob(f"{SAID}*"):
        path.unlink(missing_ok=True)
    flush_tree(folder)
    os.replace(folder, out)
    flush(out.parent)
    for name in (JOURNALS, CLAIMS):
        shutil.rmtree(out / name, ignore_errors=True)
    (out / ASIDE).unlink(missing_ok=True)
    (out / PLAN).unlink()  # last: where it is still there, the folder is taken up as one that is not done


def check_free(out: Path) -> None:
    """Raise FileExistsError, touching nothing, unless a cache can be made at `out`.

    That is a free name, one that a stopped encoding left, or one that such an encoding had just given.
    """
    folder = layout.partial_folder(out)
    finished = (out / PLAN).is_file() and (out / layout.HEADER).is_file() and not folder.exists()
    if not finished and (out.exists() or out.is_symlink()):
        raise FileExistsError(f"{out} exists already; choose another folder, or remove it first")
    foreign = _foreign(folder)
    if foreign is not None:
        raise FileExistsError(
            f"{folder}: is where an unfinished cache would be kept, and holds {foreign!r}, which is none; choose "
            "another name, or move it away"
        )


def _foreign(folder: Path) -> str | None:
    """Something in the way that no encoding wrote."""
    if folder.is_symlink() or folder.is_file():
        return folder.name
    if not folder.is_dir() or (folder / PLAN).is_file():
        return None
    # Who writes is written before the plan
    return min((path.name for path in folder.iterdir() if path.name != HOLDER and not is_litter(path)), default=None)
