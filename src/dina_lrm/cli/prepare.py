"""`dina-lrm prepare`: comparisons in, a cache of latents and conditioning out."""

from __future__ import annotations

from dataclasses import replace

import torch

from dina_lrm.cli.arguments.prepare import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import console, progress
from dina_lrm.data.encoding.launched import is_first
from dina_lrm.data.encoding.prepared import prepare, prepare_shard
from dina_lrm.data.encoding.unfinished import check_free
from dina_lrm.data.named_source import NamedSource
from dina_lrm.profiling.estimates.reading import Preparing


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
    preparing = _preparing(arguments)
    if arguments.dry_run:
        pictures, prompts = source.distinct()
        counted = replace(preparing, pictures=pictures, prompts=prompts)
        return say_estimate(counted.estimate(), arguments.out, arguments.quiet)
    if engine is None:  # else others load the generator
        check_room(preparing.estimate(), arguments.out, arguments.force)
    with progress("preparing", arguments.quiet or not is_first()) as line:
        prepared = prepare(
            source,
            arguments.backbone,
            arguments.out,
            shuffle=arguments.shuffle_sides,
            resolution=arguments.sizes(),
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


def _preparing(arguments: Arguments) -> Preparing:
    """What is asked for, as it is estimated."""
    return Preparing(
        arguments.backbone,
        batch_size=arguments.batch_size,
        sizes=arguments.sizes(),
        prompt_length=arguments.prompt_length,
        stored=getattr(torch, arguments.dtype),
        revision=arguments.revision,
        device=arguments.place(),
        compute=None if arguments.compute_dtype == "auto" else getattr(torch, arguments.compute_dtype),
        processes=arguments.processes,
        encoders=arguments.encoders(),
        t5_weights=arguments.t5_weights or "stored",
    )
