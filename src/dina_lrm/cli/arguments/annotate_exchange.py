"""Options of `dina-lrm annotate import` and `annotate export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from dina_lrm.collecting.exchange.names import READS, WRITES
from dina_lrm.console.common import CommonArguments
from dina_lrm.runs.places import check_file, check_new_folder
from dina_lrm.typed import DinaError


@dataclass
class Import(CommonArguments):
    """Bring the votes of another program's file into a file of votes; what was brought in before changes nothing.

    Examples:
        dina-lrm annotate import votes.sqlite label-studio project.json
        dina-lrm annotate import votes.sqlite arena votes.csv --columns left=img_a,right=img_b,vote=winner
    """

    file: Positional[Path]
    """The file of votes; it is begun where there is none."""
    form: Positional[str]
    """What the other file is: label-studio, argilla, arena (a table), page (saved by a page that is a
    file), or comparisons (saved by such a page of an earlier version)."""
    given: Positional[Path]
    """The other program's file."""
    images: Path | None = None
    """The folder that its pictures are relative to; by default its own."""
    columns: str | None = None
    """For arena: where prompt, left, right, vote, and perhaps annotator and ms stand, as OURS=THEIRS,..."""
    question: str | None = None
    """The question that was asked; by default the first of the file of votes."""

    def check(self) -> None:
        """Refuse a format that there is none of, a file that is not there, and columns that are no map."""
        if self.form not in READS:
            raise DinaError(f"{self.form}: unknown format; accepted: {', '.join(READS)}")
        if not self.given.is_file():
            raise DinaError(f"{self.given}: no such file")
        self.mapped()
        check_file("FILE", self.file)

    def mapped(self) -> dict[str, str] | None:
        """The columns by our names. Raises DinaError for what is no map."""
        if self.columns is None:
            return None
        parts = [part.partition("=") for part in self.columns.split(",")]
        if not all(name and sign and column for name, sign, column in parts):
            raise DinaError(f"--columns {self.columns}; accepted: OURS=THEIRS,OURS=THEIRS")
        return {name: column for name, _, column in parts}


@dataclass
class Export(CommonArguments):
    """Write the votes of a file for another program, or what they come to as comparisons.

    Examples:
        dina-lrm annotate export votes.sqlite comparisons votes.jsonl
        dina-lrm annotate export votes.sqlite folder my-votes
    """

    file: Positional[Path]
    """A file of votes."""
    form: Positional[str]
    """comparisons (.jsonl, .csv, .parquet), folder (for the datasets library, with a card), label-studio, argilla."""
    out: Positional[Path]
    """What to write: a file, or a folder that does not exist."""
    question: str | None = None
    """The question whose votes are written; by default the first."""
    weights: Literal["trust", "fitted", "equal"] = "trust"
    """What votes weigh in comparisons: by controls as of the vote, by the fitted annotators, or all the same."""

    def check(self) -> None:
        """Refuse a format that there is none of, and a place that cannot be written."""
        if self.form not in WRITES:
            raise DinaError(f"{self.form}: unknown format; accepted: {', '.join(WRITES)}")
        if self.form == "folder":
            check_new_folder("OUT", self.out)
        else:
            check_file("OUT", self.out)
