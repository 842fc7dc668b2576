"""Options of `dina-lrm data check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff

from dina_lrm.cli.arguments.comparisons import ComparisonArguments
from dina_lrm.runs.places import check_file


@dataclass(kw_only=True)
class Arguments(ComparisonArguments):
    """Read a comparison file or a published data set to its end, decode every image, and report what it holds.

    Rows that are not accepted, missing and corrupt images, repeated and contradicting judgements are listed in a file.

    Examples:
        dina-lrm data check comparisons.jsonl --strict
        dina-lrm data check imagereward --path DIR --split test --json found.json
    """

    problems: Path | None = None
    """Where problems are listed, one JSON object a line; by default FILE.problems.jsonl beside the file, or
    SOURCE.problems.jsonl in this folder (so too where nothing can be written beside the file); written when there are
    any."""
    strict: FlagCreatePairsOff[bool] = False
    """Exit with code 1 when there is a problem, or no row."""

    def check(self) -> None:
        """Refuse a list of problems that cannot be written."""
        if self.problems is not None:
            check_file("--problems", self.problems)
