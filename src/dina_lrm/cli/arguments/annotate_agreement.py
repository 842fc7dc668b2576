"""Options of `dina-lrm annotate agreement`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.console.common import CommonArguments


@dataclass
class Arguments(CommonArguments):
    """Say how far the annotators of a file of votes agree: Krippendorff's alpha, one against the others, and again.

    Only pairs that were chosen at random are compared. Of each annotator: controls, what they say when asked again,
    which side they lean to.

    Example:
        dina-lrm annotate agreement votes.sqlite --json agreement.json
    """

    file: Positional[Path]
    """A file of votes."""
    question: str | None = None
    """The question that is looked at, by its id; by default the first that the collection asks."""
