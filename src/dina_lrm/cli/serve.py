"""`dina-lrm serve`: a reward over HTTP."""

from __future__ import annotations

from dina_lrm.cli.arguments.serve import Arguments
from dina_lrm.screen import Screen
from dina_lrm.serving.job import serve


def run(arguments: Arguments) -> dict[str, object]:
    """Answer until a signal ends it."""
    told = Screen(arguments.quiet, live=True).print
    serve(arguments.recipe, told, device=arguments.place(), dtype=arguments.torch_dtype())
    return {"served": list(arguments.recipe.named())}
