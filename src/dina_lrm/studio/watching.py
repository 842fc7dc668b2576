"""A run as it stands now: of a training its curves, of an alignment curves, pictures and alarms."""

from __future__ import annotations

from pathlib import Path

from dina_lrm.alignment.monitor.records import MONITOR_FILE
from dina_lrm.pictures.names import shown
from dina_lrm.reports.alignment import alignment_sections
from dina_lrm.reports.blocks import Section
from dina_lrm.reports.first.verdicts import Verdict
from dina_lrm.reports.run import training_sections
from dina_lrm.runs.folder import CONFIG
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.metrics import METRICS_FILE
from dina_lrm.typed import DinaError

Stamp = tuple[tuple[int, int], ...]
"""Sizes and times of the files that a run is shown from: another one says that there is something new."""
_FILES = (METRICS_FILE, MONITOR_FILE)


def stamp_of(folder: Path) -> Stamp:
    """What the files of a run look like now; files that are not there are zeros."""
    found = []
    for name in _FILES:
        try:
            seen = (folder / name).stat()
        except OSError:
            found.append((0, 0))
        else:
            found.append((seen.st_size, seen.st_mtime_ns))
    return tuple(found)


def _is_alignment(folder: Path) -> bool:
    """Whether the settings of a run are those of an alignment, which alone looks at pictures."""
    file = folder / CONFIG
    return file.is_file() and "looks" in read_json_object(file)


def run_sections(folder: Path) -> tuple[list[Section], Verdict]:
    """The page of a run so far. Raises DinaError for a folder that is none of a run, or has logged nothing yet."""
    if not folder.is_dir():
        raise DinaError(f"{shown(folder)}: no such folder; accepted: the folder of a training or of an alignment")
    if (folder / MONITOR_FILE).is_file():
        return alignment_sections(folder)
    if _is_alignment(folder):
        raise DinaError(f"{shown(folder)}: this alignment has not looked at pictures yet; they appear here when it has")
    if (folder / METRICS_FILE).is_file():
        return training_sections(folder)
    raise DinaError(
        f"{shown(folder)}: neither {METRICS_FILE} nor {MONITOR_FILE} is there; accepted: the folder of a run that has "
        "begun, as given to --out"
    )
