"""`dina-lrm studio`: pages to look at scores."""

from __future__ import annotations

from dina_lrm.cli.arguments.studio import Arguments
from dina_lrm.screen import Screen
from dina_lrm.studio.job import open_studio


def run(arguments: Arguments) -> dict[str, object]:
    """Show the pages until a signal ends it."""
    told = Screen(arguments.quiet, live=True).print
    open_studio(arguments.settings, told, device=arguments.place(), dtype=arguments.torch_dtype())
    return {"model": arguments.settings.model}
