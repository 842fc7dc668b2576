"""`dina-lrm rank`: the pictures of a folder from best to worst."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.cli.arguments.rank import Arguments
from dina_lrm.console.common import console, titled_progress
from dina_lrm.evaluation.environment import command_line
from dina_lrm.ranking.job import ranked


def run(arguments: Arguments) -> dict[str, object]:
    """Score, order and show."""
    settings = replace(arguments.settings, device=arguments.place(), dtype=arguments.dtype)
    found = ranked(settings, titled_progress(arguments.quiet, "picture"), command_line())
    for line in found.told():
        console(arguments.quiet).print(line)
    return found.to_dict()
