"""The file that lists what is wrong with comparisons, one JSON object a line."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from dina_lrm.data.checking import Problem
from dina_lrm.data.named_source import NamedSource
from dina_lrm.runs.files import write_text
from dina_lrm.runs.json_files import parse_json
from dina_lrm.screen import whole
from dina_lrm.typed import DinaError


def problem_list(source: NamedSource) -> Path:
    """Where problems are listed where nothing is said: FILE.problems.jsonl beside the file, or SOURCE.problems.jsonl in
    this folder, so too where nothing can be written beside the file.
    """
    path = source.path
    if path is not None and path.is_file():
        beside = path.with_name(f"{path.name}.problems.jsonl")
    else:
        beside = Path(f"{source.source if path is None or source.source != 'ours' else path.name}.problems.jsonl")
    places = (beside, Path(beside.name), Path(tempfile.gettempdir()) / beside.name)
    return next((place for place in places if os.access(place.parent, os.W_OK | os.X_OK)), beside)


def check_problem_list(option: str, target: Path) -> None:
    """ValueError for a file that holds something else than an earlier list of problems: it is not written over."""
    if not target.is_file() or target.stat().st_size == 0:
        return
    with target.open("rb") as file:
        first = file.readline(1 << 20)
    try:
        listed = parse_json(first, str(target))
    except ValueError:
        listed = None
    if not isinstance(listed, dict) or listed.keys() != {item.name for item in fields(Problem)}:
        raise DinaError(f"{option} {target}: holds something else than problems; accepted: another name")


def write_problems(target: Path, problems: Sequence[Problem]) -> None:
    """List the problems; a file without a line where there is none."""
    write_text(target, "".join(whole(json.dumps(asdict(problem), ensure_ascii=False)) + "\n" for problem in problems))
