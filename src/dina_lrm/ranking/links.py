"""A folder of links to pictures, numbered in their order, so that any file manager shows it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from dina_lrm.ranking.settings import KIND
from dina_lrm.rewards.scoring.ranking import RankedPicture
from dina_lrm.runs.ownership import check_replaceable, made_folder
from dina_lrm.typed import DinaError

_LONGEST: Final = 200
"""Bytes of a link's name."""


@dataclass(frozen=True)
class Links:
    """How many pictures were linked, copied where the disk knows no links, and left out, having no file."""

    folder: Path
    linked: int
    copied: int
    left_out: int

    def told(self) -> str:
        """All of it in a sentence."""
        copied = f", {self.copied} copied where no link could be made" if self.copied else ""
        left_out = f", {self.left_out} left out: pictures inside of a table have no file" if self.left_out else ""
        return f"links in order: {self.linked} in {self.folder}{copied}{left_out}"


def check_links(folder: Path, pictures: Path) -> None:
    """Refuse a folder for links that holds something else, or lies among the pictures: they would be ranked again."""
    if pictures.is_dir() and folder.resolve().is_relative_to(pictures.resolve()):
        raise DinaError(
            f"--links {folder}: lies in {pictures}, whose pictures are ranked; accepted: a folder elsewhere"
        )
    check_replaceable(folder, KIND)


def write_links(folder: Path, pictures: Sequence[RankedPicture]) -> Links:
    """Fill `folder` with a link to each picture's file, `0001-NAME` the best; an earlier such folder is replaced.

    Raises NotReplaceableError for a folder that holds anything else.
    """
    width, linked, copied = max(4, len(str(len(pictures)))), 0, 0
    place = folder.expanduser().resolve()
    with made_folder(folder, KIND) as temporary:
        for picture in pictures:
            if not isinstance(picture.source, Path):
                continue
            name = f"{picture.rank:0{width}d}-{_name(picture.image)}"
            try:
                os.symlink(os.path.relpath(picture.source.resolve(), place), temporary / name)
                linked += 1
            except (OSError, NotImplementedError):
                shutil.copyfile(picture.source, temporary / name)
                copied += 1
    return Links(folder, linked, copied, len(pictures) - linked - copied)


def _name(image: str) -> str:
    """The picture's own name, its beginning cut off where it is too long; letters that no disk holds become "_"."""
    name = "".join("_" if letter in '\\:*?"<>|\0' else letter for letter in PurePosixPath(image).name)
    return os.fsencode(name)[-_LONGEST:].decode("utf-8", "ignore")
