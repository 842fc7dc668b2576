"""`dina-lrm cache info`, `verify`, `merge`, `repack` and `upgrade`: what a cache holds, and another made of it."""

from __future__ import annotations

from dataclasses import asdict

import torch

from dina_lrm.cli.arguments.cache import Info, Merge, Repack, Upgrade, Verify
from dina_lrm.console.common import CommandFailed, console, progress
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.remote.addresses import shown_address
from dina_lrm.data.cache.repacking import repack_cache
from dina_lrm.data.cache.verification import verify_cache
from dina_lrm.data.encoding.again import encode_again
from dina_lrm.data.encoding.prepared import opened_cache
from dina_lrm.screen import bytes_text, table_of

SHOWN = 5


def info(arguments: Info) -> dict[str, object]:
    """Open the cache, show a table."""
    held = opened_cache(arguments.cache)
    console(arguments.quiet).print(table_of(("", ""), list(held.rows().items()), shown_address(arguments.cache)))
    return held.recorded()


def verify(arguments: Verify) -> dict[str, object]:
    """Verify, and name the files that are damaged."""
    with progress("verifying", arguments.quiet, "shard") as report:
        verdict = verify_cache(arguments.cache, report, arguments.level)
    result, cache = asdict(verdict), shown_address(arguments.cache)
    if verdict.problems:
        told = "; ".join(f"{problem.file}: {problem.reason}" for problem in verdict.problems[:SHOWN])
        more = f"; and {len(verdict.problems) - SHOWN} more" if len(verdict.problems) > SHOWN else ""
        mend = next((problem.mend for problem in verdict.problems if problem.mend), None)
        hint = f". A file is written again by dina-lrm prepare SOURCE --out {cache} {mend}" if mend else ""
        raise CommandFailed(f"{cache}: {told}{more}{hint}", result)
    told = "heads and tables as they were written" if arguments.level == "quick" else "all as it was written"
    console(arguments.quiet).print(
        f"{cache}: {verdict.shards} shards, {verdict.rows} rows, {bytes_text(verdict.bytes)}: {told}"
    )
    return result if arguments.reencode is None else result | _reencoded(arguments, arguments.reencode)


def _reencoded(arguments: Verify, share: float) -> dict[str, object]:
    """Encode some rows again, and name those that come out otherwise."""
    found = encode_again(
        arguments.cache,
        share,
        seed=arguments.seed,
        device=arguments.place(),
        tolerance=arguments.tolerance,
        encoders=arguments.encoders(),
        compute_dtype=None if arguments.compute_dtype == "auto" else getattr(torch, arguments.compute_dtype),
    )
    result: dict[str, object] = {"reencoded": asdict(found)}
    if found.unlike:
        named = "; ".join(f"{each.row} ({each.name:.60}): {each.off:.2g}" for each in found.unlike[:SHOWN])
        more = f"; and {len(found.unlike) - SHOWN} more" if len(found.unlike) > SHOWN else ""
        raise CommandFailed(
            f"{shown_address(arguments.cache)}: {len(found.unlike)} rows differ by more than {found.tolerance:g} "
            f"standard deviations when {found.made_by} encodes them again: {named}{more}",
            result,
        )
    console(arguments.quiet).print(str(found))
    return result


def merge(arguments: Merge) -> dict[str, object]:
    """Merge, and say what both had."""
    merged = merge_caches(arguments.first, arguments.second, arguments.out)
    header = merged.header
    console(arguments.quiet).print(
        f"{arguments.out}: {header.pairs} comparisons, {len(header.shards)} shards ({merged.linked} linked, "
        f"{merged.copied} copied); {merged.common_images} images and {merged.common_prompts} prompts were in both"
    )
    told = {name: value for name, value in asdict(merged).items() if name != "header"}
    return {"cache": arguments.out, "content": header.content, "pairs": header.pairs, **told}


def upgrade(arguments: Upgrade) -> dict[str, object]:
    """Write anew, and say how the size changed."""
    data = EncodedComparisons.load(arguments.cache)
    data.save(arguments.out)
    before, after = (opened_cache(folder) for folder in (arguments.cache, arguments.out))
    assert after.data.header is not None
    sizes = [f"{held.rows()['size']}" for held in (after, before)]
    console(arguments.quiet).print(
        f"{arguments.out}: format {after.data.header.format_version}, {sizes[0]} (before: {sizes[1]})"
    )
    return {"cache": arguments.out, "content": after.data.header.content, "bytes": [before.bytes, after.bytes]}


def repack(arguments: Repack) -> dict[str, object]:
    """Write anew, and say what changed."""
    made = repack_cache(arguments.cache, arguments.out, arguments.shard_mib * 2**20, arguments.dtype)
    console(arguments.quiet).print(f"{arguments.out}: {made}")
    told = {name: value for name, value in asdict(made).items() if name != "header"}
    return {
        "cache": arguments.out,
        "content": made.header.content,
        "dtype": made.header.dtype,
        "shards": len(made.header.shards),
        "same_content": made.same_content,
        **told,
    }
