"""`dina-lrm cache verify`: whether a cache is what was written, to the bit."""

from __future__ import annotations

from dataclasses import asdict

from dina_lrm.cli.arguments.cache_verify import Arguments
from dina_lrm.console.common import CommandFailed, console, progress
from dina_lrm.data.verification import verify_cache

SHOWN = 5


def run(arguments: Arguments) -> dict[str, object]:
    """Verify, and name the files that are damaged."""
    with progress("verifying", arguments.quiet, "shard") as report:
        verdict = verify_cache(arguments.cache, report)
    result = asdict(verdict)
    if verdict.problems:
        told = "; ".join(f"{problem.file}: {problem.reason}" for problem in verdict.problems[:SHOWN])
        more = f"; and {len(verdict.problems) - SHOWN} more" if len(verdict.problems) > SHOWN else ""
        raise CommandFailed(f"{arguments.cache}: {told}{more}", result)
    size = verdict.bytes / 2**20
    console(arguments.quiet).print(
        f"{arguments.cache}: {verdict.shards} shards, {verdict.rows} rows, {size:.1f} MiB: all as it was written"
    )
    return result
