"""`dina-lrm data check`: what a comparison file holds, and what is wrong with it."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.cli.common import CommandFailed, CommonArguments, UserError, console, progress
from dina_lrm.runs.places import check_file
from dina_lrm.screen import Screen, table_of, whole

if TYPE_CHECKING:
    from rich.table import Table

    from dina_lrm.data.checking import CheckReport, Fault

SHOWN_SIZES = 5
SHOWN_REASONS = 3


@dataclass
class Arguments(CommonArguments):
    """Read a comparison file or a published data set to its end, decode every image, and report what it holds.

    Rows that are not accepted, missing and corrupt images, repeated and contradicting judgements are listed in a file.

    Examples:
        dina-lrm data check comparisons.jsonl --strict
        dina-lrm data check imagereward --path DIR --split test --json found.json
    """

    source: Positional[str]
    """A file of comparisons (JSONL, JSON, CSV or Parquet with prompt, image_a, image_b, preference), or a data set:
    hpdv3, hpdv2, imagereward, genai-bench, pick-a-pic, rankings, released-latents."""
    path: Path | None = None
    """Where the data set is: its folder, or a table. Without it, genai-bench and pick-a-pic are streamed."""
    split: str | None = None
    """Which split of the data set is read; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    seed: int = 0
    """Of the coin that decides which image of a published pair is called the first."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of a file of ours to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with others, such as image_a=chosen,image_b=rejected,preference=1; for the
    preference a number, or two columns of votes as FIRST:SECOND. Columns that are not named are left out."""
    problems: Path | None = None
    """Where problems are listed, one JSON object a line; by default FILE.problems.jsonl beside the file, or
    SOURCE.problems.jsonl in this folder (so too where nothing can be written beside the file); written when there are
    any."""
    strict: FlagCreatePairsOff[bool] = False
    """Exit with code 1 when there is a problem, or no row."""


def run(arguments: Arguments) -> dict[str, object]:
    """Check, list the problems, show a table."""
    from dina_lrm.data.checking import check_comparisons
    from dina_lrm.data.sources import chosen_split, read_options, source_rows, tables_left_out
    from dina_lrm.runs.files import write_text

    source, path = named_source(arguments.source, arguments.path)
    split = chosen_split(source, arguments.split)
    columns = mapping(arguments.columns, source)
    options = read_options(path, arguments.ignore_columns, arguments.images, arguments.seed, columns)
    target = _target(arguments.problems, source, path)
    with progress("checking", arguments.quiet) as show:
        # A stream is not read twice only to know its length
        known = show if path is not None else None
        report = check_comparisons(lambda: source_rows(source, path, arguments.split), source, options, known)
    if report.problems or arguments.problems is not None or target.exists():
        lines = [whole(json.dumps(asdict(problem), ensure_ascii=False)) + "\n" for problem in report.problems]
        write_text(target, "".join(lines))
    shown = console(arguments.quiet)
    title = str(path) if source == "ours" else f"{source}, split {split}"
    shown.print(_table(title, report))
    unread = tables_left_out(source, path, arguments.split)
    say_left_out(unread, shown)
    counts = dict(Counter(problem.fault for problem in report.problems))
    result = asdict(report) | {
        "source": source,
        "split": split,
        "path": path,
        "tables_left_out": unread,
        "problems": counts,
        "problems_file": target if report.problems else None,
    }
    message = _message(title, report, counts, target)
    if message is None:
        return result
    if arguments.strict or report.refused:
        raise CommandFailed(message, result)
    shown.print(message)
    return result


def _message(title: str, report: CheckReport, counts: Mapping[Fault, int], target: Path) -> str | None:
    if not report.problems:
        return f"{title}: holds no row" if report.rows == 0 else None
    told = ", ".join(f"{count} x {fault}" for fault, count in counts.items())
    if not report.refused:
        return f"{title}: {len(report.problems)} problems ({told}), listed in {target}"
    reasons = Counter(problem.reason for problem in report.problems if problem.fault == "row").most_common(
        SHOWN_REASONS
    )
    why = "; ".join(f"{count} x {reason:.300}" for reason, count in reasons)
    return f"{title}: not one of {report.rows} rows is accepted: {why}; all are listed in {target}"


def mapping(given: str | None, source: str) -> dict[str, str] | None:
    """The columns of a table with other ones; UserError where a source knows its own."""
    from dina_lrm.data.sources.columns import parse_columns

    if given is None:
        return None
    if source != "ours":
        raise UserError(f"--columns {given}: {source} knows its own columns; accepted with a file of comparisons")
    return parse_columns(given)


def say_left_out(unread: list[Path], shown: Screen) -> None:
    """Name the tables of a folder that were not read."""
    if unread:
        names = ", ".join(path.name for path in unread[:SHOWN_SIZES])
        more = f" and {len(unread) - SHOWN_SIZES} more" if len(unread) > SHOWN_SIZES else ""
        shown.print(f"left out: {len(unread)} tables that lie there too: {names}{more}")


def named_source(given: str, at: Path | None) -> tuple[str, Path | None]:
    """The source and the path that were meant: a file of our own may stand in the place of a source."""
    from dina_lrm.data.sources import SOURCES

    if given in SOURCES:
        return given, at
    path = Path(given)
    if not path.exists():
        close = difflib.get_close_matches(given, SOURCES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UserError(f"{given}: no such file or folder, nor a data set; {hint}known data sets: {', '.join(SOURCES)}")
    if at is not None:
        raise UserError(f"{given} is a file and --path {at} was given too; give one of them")
    return "ours", path


def _target(given: Path | None, source: str, path: Path | None) -> Path:
    """Where problems are listed: known, and writable, before any picture is looked at."""
    if given is not None:
        check_file("--problems", given)
        return _checked_target(given)
    if path is not None and path.is_file():
        beside = path.with_name(f"{path.name}.problems.jsonl")
    else:
        beside = Path(f"{source if path is None or source != 'ours' else path.name}.problems.jsonl")
    places = (beside, Path(beside.name), Path(tempfile.gettempdir()) / beside.name)
    return _checked_target(next((place for place in places if os.access(place.parent, os.W_OK | os.X_OK)), beside))


def _checked_target(target: Path) -> Path:
    """UserError for a file that holds something else than an earlier list of problems: it is not written over."""
    if target.is_file() and target.stat().st_size > 0:
        from dina_lrm.data.checking import Problem
        from dina_lrm.runs.json_files import parse_json

        with target.open("rb") as file:
            first = file.readline(1 << 20)
        try:
            listed = parse_json(first, str(target))
        except ValueError:
            listed = None
        if not isinstance(listed, dict) or listed.keys() != {item.name for item in fields(Problem)}:
            raise UserError(f"--problems {target}: holds something else than problems; accepted: another name")
    return target


def _table(title: str, report: CheckReport) -> Table:
    first = "-" if report.first_preferred is None else f"{report.first_preferred:.1%} of the decided"
    sizes = [f"{size} ({count})" for size, count in report.sizes.items()]
    more = [f"and {len(sizes) - SHOWN_SIZES} more"] if len(sizes) > SHOWN_SIZES else []
    rows = {
        "rows": f"{report.rows}, {report.unlabelled_rows} without a judgement",
        "pairs": report.pairs,
        "ties": report.ties,
        "soft labels": report.soft,
        "first image preferred": first,
        "images": f"{report.images}, {report.same_content} shown by another file",
        "missing images": report.missing_images,
        "corrupt images": report.corrupt_images,
        "sizes": ", ".join(sizes[:SHOWN_SIZES] + more) or "-",
        "prompts": report.prompts,
        "words of a prompt": _range(report.words),
        "pairs of a prompt": _range(report.comparisons_per_prompt),
        "sources": ", ".join(f"{name} ({count})" for name, count in report.sources.items()) or "-",
        "rows not accepted": report.count("row"),
        "cells without a picture": report.count("no picture"),
        "repeated": report.count("duplicate"),
        "contradicting": report.count("contradiction"),
        "votes against the named winner": report.count("conflict"),
        "image against itself": report.count("same image"),
    }
    return table_of(("", ""), list(rows.items()), title)


def _range(spread: tuple[float, float, float] | None) -> str:
    return "-" if spread is None else f"{spread[0]:g} to {spread[2]:g}, median {spread[1]:g}"
