"""Which prompts belong to which picture: by the order of lines, or by the names in a table; never by a guess."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.data.prompt_sets import check_prompts_file, names_a_file, read_prompt_lines
from dina_lrm.data.sources.called import CALLED, column_called
from dina_lrm.data.sources.tables import FORMATS, scan_rows
from dina_lrm.pictures.names import shown
from dina_lrm.rewards.scoring.captions import read_captions
from dina_lrm.rewards.scoring.pictures import Pictures, text_of
from dina_lrm.screen import whole
from dina_lrm.typed import DinaError

_ACCEPTED = "a text, a text file with one prompt a line, or a table with the columns image and prompt"


class NoPromptsError(DinaError):
    """No prompts were given, and no captions stand beside the pictures."""


@dataclass(frozen=True)
class Matched:
    """The prompts of each picture; `absent` are names with prompts that no picture has; `note` is to be said."""

    prompts: Sequence[Sequence[str]]
    absent: tuple[tuple[str, str], ...] = ()
    note: str | None = None


def matched_prompts(pictures: Pictures, prompts: str | None, columns: Mapping[str, str] | None = None) -> Matched:
    """The prompts that `prompts` gives to pictures: a text for all, the lines of a file, or a table's, by name.

    `columns` says which columns of a table hold pictures and prompts. Without `prompts` each picture of a folder has
    the caption that stands beside it. Raises ValueError or FileNotFoundError for what gives none (`NoPromptsError`
    where nothing was given and no caption is there), and where lines could belong to pictures in two ways.
    """
    if prompts is None and pictures.where.is_dir():
        return _by_caption(pictures)
    if prompts is None:
        raise NoPromptsError(f"{shown(pictures.where)}: no prompts given; accepted: {_ACCEPTED}")
    if not prompts.strip():
        raise DinaError(f"{pictures.where}: no prompts given; accepted: {_ACCEPTED}")
    if whole(prompts) != prompts:
        raise DinaError(f"prompts {whole(prompts)}: holds bytes that are no UTF-8; accepted: text")
    if not names_a_file(prompts):
        return Matched([(prompts,)] * len(pictures.names))
    path = Path(prompts)
    check_prompts_file(path)
    if path.is_dir():
        raise DinaError(
            f"prompts {path}: is a folder; accepted: {_ACCEPTED}, or none, which reads captions beside the pictures"
        )
    return _by_name(path, pictures, columns) if path.suffix.lower() in FORMATS else _by_line(path, pictures)


def _by_caption(pictures: Pictures) -> Matched:
    """The caption of each picture; files that hold captions are none that were left out."""
    captions = read_captions(pictures.where, pictures.scan.names)
    without = [name for name in pictures.scan.names if name not in captions.of]
    if not captions.of:
        raise NoPromptsError(
            f"{shown(pictures.where)}: no prompts given, and no captions beside the pictures; accepted: x.txt beside "
            f"x.png, metadata.jsonl, or {_ACCEPTED}"
        )
    if without:
        raise DinaError(
            f"{shown(pictures.where)}: no caption beside {len(without)} of {len(pictures.names)} pictures, such as "
            f"{shown(without[0])}; accepted: one for each, or {_ACCEPTED}"
        )
    for name in captions.files:
        pictures.scan.read_beside(name)
    return Matched([(captions.of[name],) for name in pictures.scan.names])


def _by_line(path: Path, pictures: Pictures) -> Matched:
    lines, count = [*read_prompt_lines(path).values()], len(pictures.names)
    if len(lines) == 1:
        return Matched([(lines[0],)] * count)
    if len(lines) != count:
        left_out = pictures.scan.told()
        raise DinaError(
            f"{path}: {len(lines)} prompts for {count} images; give one for all, or one for each"
            + (f" ({left_out})" if left_out else "")
        )
    order, note = (range(count), None) if pictures.in_order else _line_order(path, pictures.names)
    of_picture = {picture: lines[line] for line, picture in enumerate(order)}
    return Matched([(of_picture[picture],) for picture in range(count)], note=note)


def _line_order(path: Path, names: Sequence[str]) -> tuple[Sequence[int], str | None]:
    """The picture of each line. Names are sorted letter by letter; people count: 2 before 10, a before B.

    Where the two differ, the order is that of the numbers if one number is all that tells the names apart.
    """
    counted = sorted(range(len(names)), key=lambda row: (_counting(names[row]), names[row]))
    if counted == list(range(len(names))):
        return counted, None
    if _differ_by_one_number(names):
        first, last = names[counted[0]], names[counted[-1]]
        return counted, f"the lines of {path} belong to the images in the order of their numbers, {first} to {last}"
    place = next(row for row, picture in enumerate(counted) if row != picture)
    raise DinaError(
        f"{path}: its lines cannot be matched to images, as line {place + 1} could be meant for "
        f"{names[place]!r} or for {names[counted[place]]!r}; give a table with the columns image and prompt"
    )


def _counting(name: str) -> list[str | int]:
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if row % 2 else part for row, part in enumerate(parts)]


def _differ_by_one_number(names: Sequence[str]) -> bool:
    split = [_counting(posixpath.splitext(name)[0]) for name in names]
    if len({len(parts) for parts in split}) > 1:
        return False
    differing = [place for place, parts in enumerate(zip(*split, strict=True)) if len(set(parts)) > 1]
    numbers = {parts[differing[0]] for parts in split} if differing else set()
    return len(differing) == 1 and differing[0] % 2 == 1 and len(numbers) == len(names)


def _by_name(table: Path, pictures: Pictures, columns: Mapping[str, str] | None) -> Matched:
    """The prompts of each name, in the table's order; a picture may have several."""
    known = {_same(name): name for name in pictures.names} | {name: name for name in pictures.names}
    texts: dict[str, list[str]] = {}
    absent = []
    for row in scan_rows(table):
        called = {role: column_called(row.where, row.parsed(), role, columns) for role in CALLED}
        image, text = row.values[called["image"]], text_of(row, called["prompt"])
        if not isinstance(image, str) or not image.strip():
            raise DinaError(f"{row.where}: {called['image']} is {image!r:.60}; give the name of an image")
        name = known.get(image) or known.get(_same(image))
        if name is None:
            absent.append((image, text))
        else:
            texts.setdefault(name, []).append(text)
    without = [name for name in pictures.names if name not in texts]
    if without:
        counts = f"{len(without)} of {len(pictures.names)} images, such as {shown(without[0])!r}"
        raise DinaError(f"{table}: no prompt for {counts}")
    return Matched([texts[name] for name in pictures.names], tuple(absent))


def _same(name: str) -> str:
    """Names that mean one file: ./a.png is a.png, and macOS writes accents as letters of their own."""
    return unicodedata.normalize("NFC", posixpath.normpath(name))
