"""`dina-lrm prepare`: comparisons in, a cache of latents and conditioning out."""

from __future__ import annotations

import torch

from dina_lrm.cli.arguments.prepare import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.common import console, progress
from dina_lrm.data.encoding.launched import is_first
from dina_lrm.data.encoding.prepared import prepare, prepare_shard
from dina_lrm.data.encoding.unfinished import check_free
from dina_lrm.data.named_source import NamedSource


def run(arguments: Arguments) -> dict[str, object]:
    """Check, encode, and say what the cache holds."""
    engine = arguments.ray_engine()
    source = source_of(arguments, NamedSource(arguments.source, arguments.comparisons))
    if arguments.only is not None:
        sha256 = prepare_shard(source, arguments.out, arguments.only, arguments.place())
        console(arguments.quiet).print(f"{arguments.only} of {arguments.out}: written again, as it was recorded")
        return {"cache": arguments.out, "shard": arguments.only, "sha256": sha256}
    if is_first():
        check_free(arguments.out)
    unread = source.tables_left_out()
    with progress("preparing", arguments.quiet or not is_first()) as line:
        prepared = prepare(
            source,
            arguments.backbone,
            arguments.out,
            shuffle=arguments.shuffle_sides,
            resolution=arguments.resolution,
            prompt_length=arguments.prompt_length,
            prompt_padding=arguments.prompt_padding,
            dtype=getattr(torch, arguments.dtype),
            on_bad=arguments.on_bad,
            pair_buckets=arguments.pair_buckets,
            batch_size=arguments.batch_size,
            shard_bytes=arguments.shard_mib * 2**20,
            revision=arguments.revision,
            device=arguments.device if engine else arguments.place(),
            compute_dtype=None if arguments.compute_dtype == "auto" else getattr(torch, arguments.compute_dtype),
            encoders=arguments.encoders(),
            t5_weights=arguments.t5_weights or "stored",
            processes=arguments.processes,
            engine=engine,
            reading=lambda done, total: line(done, total, "comparisons read"),
            progress=lambda done, total: line(done, total, "pictures and prompts encoded"),
        )
    shown = console(arguments.quiet or not is_first())
    shown.print(str(prepared))
    say_left_out(unread, shown)
    for note in prepared.notes():
        shown.print(note)
    more = {"tables_left_out": unread, "unread_prompts": len(prepared.unread_prompts)}
    return {"cache": arguments.out, **prepared.to_dict(), **more}
