"""What of a folder goes to the hub: the files that this program made, as its marker or a cache's header names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from dina_lrm.cards.bases import hub_id
from dina_lrm.data.cache import format as cache
from dina_lrm.data.cache.tables import check_recorded
from dina_lrm.locate import BUNDLED
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.ownership import CHANGED, FOREIGN, MARKER, changed_files, made_by
from dina_lrm.typed import DinaError

RepoType = Literal["model", "dataset"]
CARD: Final = "README.md"
REPO_TYPES: Final[Mapping[str, RepoType]] = {
    "reward model": "model",
    "LoRA": "model",
    "generator": "model",
    "judge": "model",
    "data set": "dataset",
}
"""What is published of the kinds that markers name."""
_IN_RUNS: Final = ("model", "lora")
"""What the folder of a run holds to be published."""
_SHOWN: Final = 40
"""Most files that are listed for a person."""
_ACCEPTED: Final = "a reward model, the LoRA of an alignment, a synthetic data set or a cache that this program made"


@dataclass(frozen=True)
class Upload:
    """Files of a folder that go to the hub, by name, with their sizes in bytes; and what stays, with the reason."""

    folder: Path
    kind: str
    repo_type: RepoType
    files: Mapping[str, int]
    left_out: Mapping[str, str]
    notes: tuple[str, ...] = ()
    """Sentences that whoever sends it should read."""

    @property
    def bytes(self) -> int:
        """How much goes there."""
        return sum(self.files.values())

    def lines(self) -> Iterator[str]:
        """What goes and what stays, line by line; of very many files the first."""
        yield f"{self.kind} {self.folder}"
        sent = [f"  {name}  {size:,} bytes" for name, size in self.files.items()]
        kept = [f"  left out: {name} ({why})" for name, why in self.left_out.items()]
        for found in (sent, kept):
            yield from found[:_SHOWN]
            if len(found) > _SHOWN:
                yield f"  and {len(found) - _SHOWN:,} more"
        yield from self.notes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        told = {"folder": str(self.folder), "kind": self.kind, "repository_type": self.repo_type, "bytes": self.bytes}
        return {**told, "files": dict(self.files), "left_out": dict(self.left_out), "notes": list(self.notes)}


def upload_of(given: Path) -> Upload:
    """What of a folder, or of that which the folder of a run left, goes to the hub.

    Raises ValueError for what this program did not make, and where a file was changed since, or is gone; a card may
    have been changed. Every file of the folder is either sent or among those left out.
    """
    folder = _published_in(given.expanduser())
    if (folder / cache.HEADER).is_file():
        return _cache(folder)
    made = made_by(folder)
    if made is None:
        raise DinaError(f"{folder}: no {MARKER} says that this program made it; accepted: {_ACCEPTED}")
    if made.kind not in REPO_TYPES:
        raise DinaError(f"{folder}: is a {made.kind}; accepted: {_ACCEPTED}")
    differ = changed_files(folder)
    theirs = differ.pop(CARD, None) == CHANGED
    wrong = [name for name, why in differ.items() if why != FOREIGN]
    if wrong:
        raise DinaError(
            f"{folder / wrong[0]}: {differ[wrong[0]]}; accepted: what this program made, and a changed card"
        )
    left_out = {name: why for name, why in differ.items() if name != CARD}
    named = [name for name in made.files if (folder / name).is_file()]
    notes = [f"{CARD} is sent as it was changed"] if theirs else []
    return _upload(folder, made.kind, REPO_TYPES[made.kind], named, left_out, notes)


def _upload(
    folder: Path, kind: str, repo_type: RepoType, names: list[str], left_out: dict[str, str], notes: list[str]
) -> Upload:
    files = {name: (folder / name).stat().st_size for name in sorted(names)}
    if (folder / MARKER).is_file():
        left_out = {**left_out, MARKER: "says that the folder was made here"}
    base = _base_here(folder) if kind == "reward model" else None
    if base is not None:
        notes = [*notes, f"config.json names the generator by a folder of this machine, {base}, and is sent as it is"]
    return Upload(folder, kind, repo_type, files, left_out, tuple(notes))


def _cache(folder: Path) -> Upload:
    header = cache.read_header(folder)
    names = cache.cache_files(header)
    gone = [name for name in names if not (folder / name).is_file()]
    if gone:
        raise DinaError(f"{folder / gone[0]}: a part of the cache is gone; accepted: a cache that is whole")
    for name in cache.TABLES:
        check_recorded(folder, name, header)
    if (folder / CARD).is_file():
        names = [*names, CARD]
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]
    left_out = {name: FOREIGN for name in sorted(there) if name not in names}
    return _upload(folder, "cache", "dataset", names, left_out, [])


def _published_in(given: Path) -> Path:
    if not given.is_dir():
        raise DinaError(f"{given}: no such folder; accepted: {_ACCEPTED}")
    within = [given / name for name in _IN_RUNS if (given / name / MARKER).is_file()]
    return within[0] if within and not (given / MARKER).is_file() else given


def _base_here(folder: Path) -> str | None:
    """The folder of this machine by which a reward model's configuration names its generator, if it does."""
    backbone = read_json_object(folder / "config.json").get("backbone")
    name = backbone.get("pretrained") if isinstance(backbone, dict) else None
    return name if isinstance(name, str) and name not in BUNDLED and hub_id(name) is None else None
