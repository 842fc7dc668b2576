"""What every run's folder has, and whether a run may begin or go on in one.

config.json       what the run is: its settings, and what else has to stay as it is
metrics.jsonl     a line of numbers for each step that is logged
checkpoints/      step-N: complete states
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.metrics import METRICS_FILE
from dina_lrm.runs.ownership import check_no_leftovers
from dina_lrm.runs.settings import changed_settings, is_one_of
from dina_lrm.typed import DinaError

CONFIG: Final = "config.json"
CHECKPOINTS: Final = "checkpoints"
PAGE: Final = ("report.html", "plots")
"""What a report writes into the folder of its run."""


def holds_run(folder: Path, resume: bool, results: Sequence[str]) -> bool:
    """Whether `folder` holds a run to go on with; False where one may begin.

    `results` are names that the run writes to beside those of every run. Raises FileExistsError for a run in the way,
    which is one without `resume`, and for such files without the config.json that says whose they are.
    """
    check_no_leftovers(folder, (CHECKPOINTS, METRICS_FILE, *results, *PAGE), CONFIG)
    if not (folder / CONFIG).is_file():
        return False
    if not resume:
        raise FileExistsError(f"{folder}: holds a run already; resume it, or give another folder")
    return True


def keep_settings(folder: Path, settings: Mapping[str, Any], free: Sequence[str]) -> None:
    """Write the config.json of a run that goes on, unasked, with what its folder holds.

    A folder without one, as earlier versions left it, is taken to be of these settings. Raises ValueError as
    `check_same_settings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / CONFIG
    stored = read_json_object(file) if file.is_file() else None
    if stored is not None:
        check_same_settings(folder, stored, settings, free)
    if stored != settings:
        write_json(file, settings)


def check_same_settings(folder: Path, stored: Mapping[str, Any], given: Mapping[str, Any], free: Sequence[str]) -> None:
    """Pass settings, as plain values, that differ from the stored ones in what is `free` to change alone.

    `free` names settings, dotted; a name that ends in a dot stands for all below it. Raises ValueError naming the
    others.
    """
    changed = [
        f"{name} {_of(stored, name)} (given: {_of(given, name)})"
        for name in changed_settings(stored, given)
        if not is_one_of(name, free)
    ]
    if changed:
        free_ones = f" ({', '.join(free)} may change)" if free else ""
        raise DinaError(
            f"{folder / CONFIG}: the run was started with other settings: {', '.join(changed)}; accepted: the stored "
            f"ones{free_ones}, or another folder"
        )


def _of(settings: Mapping[str, Any], name: str) -> str:
    """The setting of a dotted name, shortened."""
    found: Any = settings
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return f"{found!r:.60}"
