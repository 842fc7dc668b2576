"""What a run folder says about itself, and whether a run may go on in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from dina_lrm import __version__
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.runs.checkpoints.stored import newest_values
from dina_lrm.runs.files import clear_litter, write_json
from dina_lrm.runs.folder import CHECKPOINTS, CONFIG, check_same_settings, holds_run
from dina_lrm.runs.json_files import read_record
from dina_lrm.runs.later_settings import with_later_settings
from dina_lrm.training.config import TrainConfig, in_todays_places
from dina_lrm.typed import DinaError, from_plain, to_plain

_RESULTS: Final = ("model",)
_FREE_TO_CHANGE: Final = ("name", "steps", "epochs", "log.", "compute.")
"""Settings that a resumed run may change: they say how long, how and how visibly, not what is learnt."""


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
    return read_record(StoredRun, folder / CONFIG)


def open_run_folder(folder: Path, record: RunRecord, resume: bool) -> None:
    """Make the folder and write `config.json`; a folder that already holds a run is only opened to resume that run.

    Raises `FileExistsError` for a run in the way, `ValueError` when the stored run is another one or cannot be read.
    """
    stored = None
    if holds_run(folder, resume, _RESULTS):
        stored = stored_run(folder)
        _check_same_run(stored, record, folder)
    folder.mkdir(parents=True, exist_ok=True)
    clear_litter(folder)
    if stored is None or to_plain(stored) != record.to_dict() or not _is_readable(folder):
        write_json(folder / CONFIG, record.to_dict())


def stored_run(folder: Path) -> StoredRun:
    """The record of the run in a folder; where config.json was damaged, from the newest checkpoint, which holds it."""
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
    before = with_later_settings(in_todays_places(stored.train), record.config)
    given = record.to_dict()["train"]
    if _batches(before) != _batches(given):
        raise DinaError(
            f"{folder / CONFIG}: the run was started with {_batches(before)}; given: {_batches(given)}. Resume with "
            "the stored size; --resume-batch N cuts what is left of the epoch into others"
        )
    check_same_settings(folder, before, given, _FREE_TO_CHANGE)
    if stored.data.hash != record.data_hash:
        raise DinaError(
            f"{folder}: the run was started on other data ({stored.data.pairs} pairs; given are {record.pairs} "
            "pairs with another content). Resume with the same data, or start in another folder"
        )


def _batches(settings: Mapping[str, Any]) -> str:
    """What a step reads, of plain settings."""
    tokens = settings.get("batch_tokens")
    return f"batches of {settings.get('batch_size')} pairs" if tokens is None else f"batches of {tokens} tokens"
