"""The shards of an unfinished cache: put in place whole, and noted in a journal, one file for each writer.

A shard's file says in its head what is to be said of its rows. A line of a journal is appended when the shard lies on
the disk. A kill leaves a temporary file, which nobody reads; a shard without a line, which is hashed again and noted
(`adopt`); or a line without its end, which does not count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from safetensors import safe_open

from dina_lrm.data.cache.prompt_layout import row_hashes
from dina_lrm.data.cache.shards import ShardInfo, tensors_hash, write_shard
from dina_lrm.data.encoding.tasks import Encoded, Notes, Task
from dina_lrm.runs.files import append_line, machine
from dina_lrm.runs.json_files import parse_json, read_json_lines
from dina_lrm.typed import from_plain

JOURNALS: Final = "journal"
_HEAD: Final = "dina_lrm"
"""Key of a shard's head under which its notes stand: the only one, since the order of several is not fixed."""


@dataclass(frozen=True)
class Line:
    """What a journal says of a shard: its rows, its hash, what encoded it, and the type that computed."""

    shard: str
    rows: int
    sha256: str
    device: str
    compute_dtype: str


@dataclass(frozen=True)
class Head:
    """What is known of a shard that is done: how `cache.json` names it, notes of its rows, and their hashes."""

    info: ShardInfo
    notes: Notes
    hashes: tuple[str, ...]


class Journal:
    """Where one process puts its shards and notes them; `made_by` are the device and the type that it encodes with."""

    def __init__(self, folder: Path, made_by: tuple[str, str]) -> None:
        self._folder, self._made_by = folder, made_by
        self._path = folder / JOURNALS / f"{machine()}-{os.getpid()}.jsonl"
        self._path.parent.mkdir(exist_ok=True)
        _cut_last_line(self._path)

    def put(self, encoded: Encoded) -> None:
        """Write a shard, whole, under its name, and then its line."""
        self._note(write_shard(self._folder, encoded.task.name, encoded.tensors, head_of(encoded)))

    def adopt(self, tasks: Iterable[Task]) -> None:
        """Note the shards of `tasks` that lie there without a line; what is no whole shard goes, to be made anew."""
        noted = noted_shards(self._folder)
        for task in tasks:
            path = shard_path(self._folder, task.name)
            if task.name in noted or not path.is_file():
                continue
            found = _hashed(path, task)
            if found is None:
                path.unlink()
            else:
                self._note(found)

    def _note(self, shard: ShardInfo) -> None:
        append_line(self._path, asdict(Line(shard.name, shard.rows, shard.sha256, *self._made_by)))


def head_of(encoded: Encoded) -> dict[str, str]:
    """What the head of a shard's file says beside its tensors."""
    return {_HEAD: _head(encoded.notes, row_hashes(encoded.tensors))}


def shard_path(folder: Path, name: str) -> Path:
    """The file of a shard."""
    return folder / f"{name}.safetensors"


def noted_shards(folder: Path) -> dict[str, Line]:
    """What journals say of the shards that lie there, by their names."""
    found: dict[str, Line] = {}
    for path in sorted((folder / JOURNALS).glob("*.jsonl")):
        for values in read_json_lines(path):
            line = from_plain(Line, values, str(path))
            if shard_path(folder, line.shard).is_file():
                found[line.shard] = line
    return found


def heads(folder: Path, tasks: Iterable[Task]) -> Iterator[tuple[Task, Head]]:
    """What is known of each shard, all of which are noted; one is in memory at a time."""
    noted = noted_shards(folder)
    for task in tasks:
        line = noted[task.name]
        path = shard_path(folder, task.name)
        with safe_open(path, framework="pt") as file:
            notes, hashes = _read_head(file.metadata()[_HEAD], str(path))
        yield task, Head(ShardInfo(line.shard, line.rows, line.sha256), notes, hashes)


def _hashed(path: Path, task: Task) -> ShardInfo | None:
    """The shard that a file is; None where it is not all that its head says."""
    try:
        with safe_open(path, framework="pt") as file:
            _, hashes = _read_head(file.metadata()[_HEAD], str(path))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        whole = len(hashes) == task.rows and list(hashes) == row_hashes(tensors)
    except Exception:  # whatever a reader says of what is no whole shard of ours
        return None
    return ShardInfo(task.name, task.rows, tensors_hash(tensors)) if whole else None


def _cut_last_line(path: Path) -> None:
    """Remove a line without its end, which an earlier process of this number left: nothing may be written behind it."""
    if path.is_file():
        data = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _head(notes: Notes, hashes: list[str]) -> str:
    faults, cut = ({str(row): told for row, told in each.items()} for each in (notes.faults, notes.cut))
    return json.dumps({"faults": faults, "cut": cut, "tokens": notes.tokens, "rows": hashes})


def _read_head(text: str, where: str) -> tuple[Notes, tuple[str, ...]]:
    told = parse_json(text, where)
    faults, cut = ({int(row): why for row, why in told[name].items()} for name in ("faults", "cut"))
    return Notes(faults, cut, told["tokens"]), tuple(told["rows"])
