"""What a run folder says about itself, and whether a run may go on in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dina_lrm import __version__
from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.runs.checkpoints import newest_values
from dina_lrm.runs.files import clear_litter, write_json
from dina_lrm.runs.json_files import read_record
from dina_lrm.runs.ownership import check_no_leftovers
from dina_lrm.runs.settings import changed_settings, is_one_of
from dina_lrm.training.config import TrainConfig
from dina_lrm.typed import from_plain, to_plain

CONFIG_FILE = "config.json"
CHECKPOINTS = "checkpoints"
# Settings that a resumed run may change: they say how long, how and how visibly, not what is learnt
FREE_TO_CHANGE = ("name", "steps", "epochs", "log.", "compute.")


@dataclass(frozen=True)
class RunRecord:
    """The identity of a run: its config and its data."""

    config: TrainConfig
    pairs: int
    data_hash: str

    @classmethod
    def of(cls, config: TrainConfig, data: EncodedComparisons) -> RunRecord:
        """The record of training with `config` on `data`."""
        return cls(config, len(data), data.content_hash)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `config.json` and checkpoints."""
        versions = {"dina_lrm": __version__, "torch": torch.__version__}
        data = {"pairs": self.pairs, "hash": self.data_hash}
        return {"train": self.config.to_dict(), "data": data, "versions": versions}


@dataclass(frozen=True)
class _Data:
    pairs: int
    hash: str


@dataclass(frozen=True)
class StoredRun:
    """What the config.json of a run holds; settings stay plain, since an earlier version may have had others."""

    train: dict[str, Any]
    data: _Data
    versions: dict[str, Any]


def read_run(folder: Path) -> StoredRun:
    """The record of the run in `folder`. Raises ValueError naming the file and the key at fault."""
    return read_record(StoredRun, folder / CONFIG_FILE)


def open_run_folder(folder: Path, record: RunRecord, resume: bool) -> None:
    """Make the folder and write `config.json`; a folder that already holds a run is only opened to resume that run.

    Raises `FileExistsError` for a run in the way, `ValueError` when the stored run is another one or cannot be read.
    """
    stored = None
    if (folder / CONFIG_FILE).is_file():
        if not resume:
            raise FileExistsError(f"{folder} holds a run already; resume it, or choose another folder")
        stored = _stored_run(folder)
        _check_same_run(stored, record, folder)
    check_no_leftovers(folder, (CHECKPOINTS, "metrics.jsonl", "model", "report.html", "plots"), CONFIG_FILE)
    folder.mkdir(parents=True, exist_ok=True)
    clear_litter(folder)
    if stored is None or to_plain(stored) != record.to_dict() or not _is_readable(folder):
        write_json(folder / CONFIG_FILE, record.to_dict())


def _stored_run(folder: Path) -> StoredRun:
    """The run's record, from its newest checkpoint where config.json was damaged: that holds the same."""
    try:
        return read_run(folder)
    except ValueError:
        values = newest_values(folder / CHECKPOINTS)
        if values is None or not {"train", "data", "versions"} <= values.keys():
            raise
        known = {name: values[name] for name in ("train", "data", "versions")}
        return from_plain(StoredRun, known, str(folder / CHECKPOINTS))


def _is_readable(folder: Path) -> bool:
    try:
        read_run(folder)
    except ValueError:
        return False
    return True


def _check_same_run(stored: StoredRun, record: RunRecord, folder: Path) -> None:
    changed = [
        name
        for name in changed_settings(stored.train, record.to_dict()["train"])
        if not is_one_of(name, FREE_TO_CHANGE)
    ]
    if changed:
        raise ValueError(
            f"{folder}: the run was started with other settings: {', '.join(changed)}. Resume with the stored ones "
            f"({CONFIG_FILE}), or start in another folder; only {', '.join(FREE_TO_CHANGE)} may change"
        )
    if stored.data.hash != record.data_hash:
        raise ValueError(
            f"{folder}: the run was started on other data ({stored.data.pairs} pairs; given are {record.pairs} "
            "pairs with another content). Resume with the same data, or start in another folder"
        )
