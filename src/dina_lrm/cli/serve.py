"""`dina-lrm serve`: a reward over HTTP."""

from __future__ import annotations

from dina_lrm.cli.arguments.serve import Arguments
from dina_lrm.console.before import say_estimate
from dina_lrm.screen import Screen
from dina_lrm.serving.job import serve


def run(arguments: Arguments) -> dict[str, object]:
    """Answer until a signal ends it."""
    told = Screen(arguments.quiet, live=True).print
    device, dtype = arguments.place(), arguments.torch_dtype()
    if arguments.dry_run:
        from dina_lrm.profiling.estimates.serving import serving_of  # which brings torch in, as serving does later

        return say_estimate(serving_of(arguments.recipe, device, dtype).estimate(), None, arguments.quiet)
    serve(arguments.recipe, told, device=device, dtype=dtype, force=arguments.force)
    return {"served": list(arguments.recipe.named())}
