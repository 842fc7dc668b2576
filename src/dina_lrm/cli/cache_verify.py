"""`dina-lrm cache verify`: whether a cache is what was written, to the bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import CommandFailed, CommonArguments, console, progress

SHOWN = 5


@dataclass
class Arguments(CommonArguments):
    """Read every file of a cache, and compare it with the hashes that `cache.json` records.

    Training and evaluation do so too, shard by shard when one is first read. Found here are also values that are not
    finite, latents without a spread, and files that are none of the cache's. Exit code 1 when anything is wrong.

    Example:
        dina-lrm cache verify cache
    """

    cache: Positional[Path]
    """The folder that `prepare` made."""


def run(arguments: Arguments) -> dict[str, object]:
    """Verify, and name the files that are damaged."""
    from dina_lrm.data.verification import verify_cache

    with progress("verifying", arguments.quiet) as report:
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
