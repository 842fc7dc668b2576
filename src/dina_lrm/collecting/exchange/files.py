"""Pictures of a store as files that another program finds, named relative to the file that it is given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dina_lrm.data.votes.store import VoteStore
from dina_lrm.pictures.sources import why_no_file
from dina_lrm.runs.files import replaced_when_complete
from dina_lrm.typed import DinaError

_MARKS = ((b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"II*", ".tif"))
_LOCAL = "/data/local-files/?d="
"""How Label Studio writes a file below its own root."""


class PictureFiles:
    """Names of pictures for a file at `out`; those that are within the store are written beside it, once."""

    def __init__(self, store: VoteStore, out: Path) -> None:
        self._store = store
        self._folder = out.absolute().parent
        self._beside = self._folder / f"{out.stem}-pictures"
        self._names: dict[str, str] = {}

    def name(self, content: str) -> str:
        """The path of a picture relative to the folder of the file. Raises as `VoteStore.picture`."""
        if content not in self._names:
            self._names[content] = Path(os.path.relpath(self.path(content), self._folder)).as_posix()
        return self._names[content]

    def path(self, content: str) -> Path:
        """The file of a picture. Raises as `VoteStore.picture`."""
        return self._store.stored(content).path or self._written(content)

    def _written(self, content: str) -> Path:
        data = self._store.picture(content)
        suffix = next((name for mark, name in _MARKS if data.startswith(mark)), ".webp")
        path = self._beside / f"{content[:32]}{suffix}"
        if not path.exists():
            self._beside.mkdir(parents=True, exist_ok=True)
            with replaced_when_complete(path) as aside:
                aside.write_bytes(data)
        return path


def picture_path(given: Any, folder: Path) -> Path | None:  # noqa: ANN401 - what a file holds
    """The file that a text names, below a folder; None for an address, a data URL, and what is no text."""
    if not isinstance(given, str) or not given.strip():
        return None
    path = folder / given.removeprefix(_LOCAL)
    refused = why_no_file(path)
    return None if "address" in refused or "data URI" in refused or "base64" in refused else path


def text_of(values: dict[str, Any], name: str, where: str) -> str:
    """A field of text. Raises DinaError naming it."""
    found = values.get(name)
    if not isinstance(found, str) or not found.strip():
        raise DinaError(f"{where}: {name} is {found!r:.60}; accepted: text")
    return found
