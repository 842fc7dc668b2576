"""The folder that a cache is made in, `NAME.partial`, until it takes its name: whose it is, and how it is taken up."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from dina_lrm.data.cache import format as layout
from dina_lrm.runs.files import clear_litter
from dina_lrm.runs.lock import one_writer

INDEX: Final = "index.sqlite"
"""What an unfinished encoding knows (data/encoding/index.py)."""


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
    held.enter_context(one_writer(folder))
    clear_litter(folder)
    return folder


def check_free(out: Path) -> None:
    """Raise FileExistsError, touching nothing, unless a cache can be made at `out`.

    That is a free name, one that a stopped encoding left, or one that such an encoding had just given.
    """
    folder = layout.partial_folder(out)
    finished = (out / INDEX).is_file() and (out / layout.HEADER).is_file() and not folder.exists()
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
    if not folder.is_dir() or (folder / INDEX).is_file():
        return None
    return min((path.name for path in folder.iterdir()), default=None)
