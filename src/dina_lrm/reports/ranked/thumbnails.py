"""Small pictures of a page: inside of it where they are some, in a folder beside it where they are many."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote_from_bytes

from PIL import Image

from dina_lrm.images import load_image
from dina_lrm.reports.pages import LOSSLESS_UP_TO, data_uri
from dina_lrm.rewards.scoring.ahead import ahead
from dina_lrm.runs.ownership import check_replaceable, made_folder

INSIDE_UP_TO: Final = 2_000
"""Pictures that a page holds itself, about 10 kB each; of more, a browser opens the page before it has all of them."""
KIND: Final = "folder of the pictures of a page"
"""What the marker of such a folder says."""
_LARGEST: Final = 256
"""Pixels of the longer side."""
_QUALITY: Final = 72
_THREADS: Final = 4


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a page names it: its address, and whether it is small enough to show every pixel."""

    address: str
    small: bool = False


NO_PICTURE: Final = Thumbnail("")
"""Stands for a picture that cannot be read any more."""


def thumbnails(page: Path, sources: Sequence[Path | bytes | None]) -> Iterator[Thumbnail]:
    """A thumbnail of each source, as a data URI; of more than `INSIDE_UP_TO`, as files in `pictures_beside(page)`.

    Raises NotReplaceableError where that folder holds something else. A picture that cannot be read has none.
    """
    if len(sources) <= INSIDE_UP_TO:
        yield from _made(sources, None)
        return
    with made_folder(pictures_beside(page), KIND) as folder:
        found = list(_made(sources, folder))
    beside = pictures_beside(page).name
    yield from (Thumbnail(f"{beside}/{one.address}", one.small) if one.address else one for one in found)


def pictures_beside(page: Path) -> Path:
    """The folder that holds the thumbnails of a page with many."""
    return page.with_name(f"{page.stem}-pictures")


def check_thumbnails(page: Path, count: int) -> None:
    """Raise NotReplaceableError where `count` thumbnails need a folder beside the page that holds something else."""
    if count > INSIDE_UP_TO:
        check_replaceable(pictures_beside(page), KIND)


def _made(sources: Sequence[Path | bytes | None], folder: Path | None) -> Iterator[Thumbnail]:
    numbered = list(enumerate(sources, start=1))
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from (one for _, one in ahead(pool, lambda item: _thumbnail(*item, folder), numbered, 2 * _THREADS))


def _thumbnail(number: int, source: Path | bytes | None, folder: Path | None) -> Thumbnail:
    if source is None:
        return NO_PICTURE
    try:
        image = load_image(source)
    except (ValueError, OSError):
        return NO_PICTURE
    small = max(image.size) <= LOSSLESS_UP_TO
    if folder is None:
        return Thumbnail(data_uri(image, _LARGEST, _QUALITY), small)
    name, content = f"{number:06d}{'.png' if small else '.jpg'}", _encoded(image, small)
    (folder / name).write_bytes(content)
    return Thumbnail(name, small)


def _encoded(image: Image.Image, small: bool) -> bytes:
    buffer = io.BytesIO()
    if small:
        image.save(buffer, "PNG")
    else:
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def address_of(page: Path, source: Path | bytes | None) -> str:
    """How a page beside which a picture lies names its file; empty for a picture inside of a table."""
    if not isinstance(source, Path):
        return ""
    try:
        relative = os.path.relpath(source.resolve(), page.resolve().parent)
    except ValueError:  # another drive
        return ""
    return "/".join(quote_from_bytes(os.fsencode(part)) for part in (".", *Path(relative).parts))
