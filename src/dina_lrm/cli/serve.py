"""`dina-lrm serve`: a reward over HTTP."""

from __future__ import annotations

from importlib.util import find_spec

from dina_lrm.cli.arguments.serve import Arguments
from dina_lrm.console.common import UserError
from dina_lrm.screen import Screen


def run(arguments: Arguments) -> dict[str, object]:
    """Answer until a signal ends it."""
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        raise UserError(f"serve: {missing[0]} is not installed; accepted: pip install 'dina-lrm[serve]'")
    from dina_lrm.serving.server import serve

    serve(arguments.settings(), Screen(arguments.quiet, live=True).print)
    return {"served": list(arguments.settings().named())}
