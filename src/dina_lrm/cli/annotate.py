"""`dina-lrm annotate`: people vote on pictures in a browser, and every vote is kept."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.cli.arguments.annotate import Arguments
from dina_lrm.collecting.asking.alone import PageWritten, write_page
from dina_lrm.collecting.asking.job import Collected, annotate
from dina_lrm.console.common import console


def run(arguments: Arguments) -> dict[str, object]:
    """Say where the page is, wait for its end, and say what came of it."""
    shown = console(arguments.quiet, live=True)
    device = None if arguments.device is None else arguments.place()
    settings = replace(arguments.settings, device=device, precision=arguments.precision("auto"))
    serves = settings.page is None
    found: Collected | PageWritten = annotate(settings, shown.print) if serves else write_page(settings)
    for line in found.told():
        shown.print(line)
    return found.to_dict()
