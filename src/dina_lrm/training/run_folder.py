"""What a run folder says about itself, and whether a run may go on in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dina_lrm import __version__
from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.training.config import TrainConfig

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


def open_run_folder(folder: Path, record: RunRecord, resume: bool) -> None:
    """Make the folder and write `config.json`; a folder that already holds a run is only opened to resume that run.

    Raises `FileExistsError` for a run in the way, `ValueError` when the stored run is another one.
    """
    file = folder / CONFIG_FILE
    if file.is_file():
        if not resume:
            raise FileExistsError(f"{folder} holds a run already; resume it, or choose another folder")
        _check_same_run(json.loads(file.read_text(encoding="utf-8")), record, folder)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(record.to_dict(), indent=2) + "\n", encoding="utf-8")


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings that differ between two plain configs."""
    changed = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changed += changed_settings(old, new, f"{prefix}{key}.")
        elif old != new:
            changed.append(f"{prefix}{key}")
    return changed


def _check_same_run(stored: Mapping[str, Any], record: RunRecord, folder: Path) -> None:
    changed = [
        name
        for name in changed_settings(stored["train"], record.to_dict()["train"])
        if not any(name == free or (free.endswith(".") and name.startswith(free)) for free in FREE_TO_CHANGE)
    ]
    if changed:
        raise ValueError(
            f"{folder}: the run was started with other settings: {', '.join(changed)}. Resume with the stored ones "
            f"({CONFIG_FILE}), or start in another folder; only {', '.join(FREE_TO_CHANGE)} may change"
        )
    if stored["data"]["hash"] != record.data_hash:
        raise ValueError(
            f"{folder}: the run was started on other data ({stored['data']['pairs']} pairs; given are {record.pairs} "
            "pairs with another content). Resume with the same data, or start in another folder"
        )
