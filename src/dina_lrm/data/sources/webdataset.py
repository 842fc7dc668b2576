"""Samples of WebDataset archives: the files of a tar that share a name up to its first dot are one row.

| file | column |
|---|---|
| `000.jpg` (any picture) | `image` |
| `000.0.jpg`, `000.1.jpg`, `000.png_0` | `image_0`, `image_1`, `image_0` |
| `000.jpg_0`, as in exports of Pick-a-Pic | `jpg_0` |
| `000.chosen.png` | `chosen` |
| `000.txt` | `prompt` |
| `000.NAME.txt`, `000.NAME` | `NAME`: a number where it is one, else text |
| `000.json` | every key of the object |

Files of other kinds become columns without a value. Nothing is unpacked, and one sample is in memory at a time.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dina_lrm.data.sources.layouts.parts import PROMPT_NAMES
from dina_lrm.data.sources.rows import MAX_ROW, Row
from dina_lrm.pictures.files import MAX_BYTES, SUFFIXES
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

KEY: Final = "__key__"
"""The column that holds the name of a sample where another library has read the archive."""
_PICTURES: Final = frozenset(suffix.removeprefix(".") for suffix in SUFFIXES)
_TEXTS: Final = frozenset({"txt", "text", "cls", "cls2", "id", "index"})
_NO_TEXT: Final = frozenset(
    {"npy", "npz", "pth", "pt", "pkl", "pickle", "pyd", "bin", "mp4", "wav", "flac", "safetensors"}
)


def tar_rows(path: Path) -> Iterator[Row]:
    """Each sample of an archive as a row. ValueError naming the file where it is no tar, or is cut off."""
    seen: set[str] = set()
    done = 0
    try:
        with tarfile.open(path, "r:") as archive:
            members = (member for member in archive if member.isfile() and not _is_hidden(member.name))
            for key, files in groupby(members, lambda member: _split(member.name)[0]):
                yield _row(path, key, {_split(file.name)[1]: _content(archive, file) for file in files}, key in seen)
                seen.add(key)
                done += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        read = f", damaged after {done} samples" if done else ""
        raise DinaError(f"{path}: not a tar archive{read} ({error})") from error


def sample_values(files: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a sample, from what its files hold by their extension: bytes, or what was made of them.

    Raises ValueError for a file that does not hold what its name says, and for a column that two files give.
    """
    values: dict[str, Any] = {}
    for extension, content in files.items():
        for name, value in _columns(extension, content).items():
            if name in values and values[name] != value:
                raise DinaError(f"two files give the column {name!r}; accepted: one, or the same value")
            values[name] = value
    return values


def _row(path: Path, key: str, files: Mapping[str, Any], again: bool) -> Row:
    place = f"sample {key}"
    if again:
        return Row(path, place, {}, "its files do not stand together, or two samples have its name")
    try:
        return Row(path, place, sample_values(files))
    except ValueError as error:
        return Row(path, place, {}, str(error))


def _split(name: str) -> tuple[str, str]:
    """The name of the sample that a file belongs to, and its extension in small letters."""
    place = PurePosixPath(name)
    stem, _, extension = place.name.partition(".")
    return str(place.with_name(stem)), extension.lower()


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in PurePosixPath(name).parts)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> object:
    extension = _split(member.name)[1]
    if extension.rpartition(".")[2] in _NO_TEXT:
        return None
    limit = MAX_BYTES if _picture_name(extension) is not None else MAX_ROW
    file = archive.extractfile(member) if member.size <= limit else None
    if file is None:
        return None
    content = file.read()
    if len(content) < member.size:
        raise EOFError(f"{member.name} is cut off")
    return {"bytes": content, "path": member.name} if _picture_name(extension) is not None else content


def _picture_name(extension: str) -> str | None:
    """The column of a picture's extension: `jpg`, `0.jpg`, `chosen.jpg`, `jpg_0`; None for what is no picture's."""
    name, _, kind = extension.rpartition(".")
    if kind in _PICTURES:
        return f"image_{name}" if name.isdigit() else name or "image"
    base, _, side = kind.partition("_")
    if not name and base in _PICTURES and side:
        return kind if base == "jpg" else f"image_{side}"
    return None


def _columns(extension: str, content: object) -> dict[str, Any]:
    if not extension:
        raise DinaError("a file has no extension, which would say what it holds")
    picture = _picture_name(extension)
    if picture is not None:
        return {picture: content}
    name, _, kind = extension.rpartition(".")
    reader = _READERS.get(kind, _text)
    value = reader(content, extension) if isinstance(content, bytes) else content
    if kind == "json" and not name:
        if not isinstance(value, Mapping):
            raise DinaError(f"json: holds {value!r:.60}; accepted: an object with named fields")
        return {str(key): one for key, one in value.items()}
    column = name or ("prompt" if kind in ("txt", "text") else kind)
    return {column if kind in _TEXTS or kind == "json" else extension: _plain(column, value)}


def _text(content: bytes, extension: str) -> str:
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DinaError(f"{extension}: not UTF-8 text ({error})") from error


_READERS: Final[Mapping[str, Callable[[bytes, str], Any]]] = {"json": parse_json}


def _plain(column: str, value: object) -> object:
    """A text that is a number, as that number; prompts stay what they are."""
    if not isinstance(value, str) or column in PROMPT_NAMES:
        return value
    try:
        return float(value)
    except ValueError:
        return value
