"""`dina-lrm cache info`: what made a cache, and what it holds."""

from __future__ import annotations

from dina_lrm.cli.arguments.cache_info import Arguments
from dina_lrm.console.common import console
from dina_lrm.data.prepared import opened_cache
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Open the cache, show a table."""
    held = opened_cache(arguments.cache)
    console(arguments.quiet).print(table_of(("", ""), list(held.rows().items()), str(arguments.cache)))
    return held.recorded()
