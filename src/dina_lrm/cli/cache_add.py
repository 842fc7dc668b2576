"""`dina-lrm cache add`: what a cache does not hold yet is encoded behind what it holds."""

from __future__ import annotations

from dataclasses import asdict, fields

import torch

from dina_lrm.cli.arguments.cache_add import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import console, progress
from dina_lrm.data.cache.format import CacheHeader, read_header
from dina_lrm.data.encoding.adding import Asked, Counts, add_comparisons, settle, to_be_added
from dina_lrm.data.encoding.launched import is_first
from dina_lrm.data.encoding.prepared import computed_in
from dina_lrm.data.encoding.unfinished import check_free
from dina_lrm.data.named_source import NamedSource
from dina_lrm.profiling.estimates.reading import Preparing


def run(arguments: Arguments) -> dict[str, object]:
    """Check, encode what is new, and say what was known."""
    engine = arguments.ray_engine()
    source = source_of(arguments, NamedSource(arguments.source, arguments.comparisons))
    asked = Asked(**{field.name: getattr(arguments, field.name) for field in fields(Asked)})
    place = arguments.out or arguments.cache
    quiet = arguments.quiet or not is_first()
    shown = console(quiet)
    if arguments.out is not None and is_first():
        check_free(arguments.out)
    unread = source.tables_left_out()
    if arguments.dry_run:
        counts = to_be_added(arguments.cache, source, asked=asked, shuffle=arguments.shuffle_sides)
        estimate = say_estimate(_preparing(arguments, counts).estimate(), place, quiet)
        shown.print(f"it would be: {counts}")
        return {"added": asdict(counts), **estimate}
    if arguments.out is None and is_first():
        settle(arguments.cache)
    if engine is None and is_first():  # else others load the generator
        check_room(_preparing(arguments).estimate(), place, arguments.force)
    with progress("adding", quiet) as line:
        added = add_comparisons(
            arguments.cache,
            source,
            arguments.out,
            asked=asked,
            shuffle=arguments.shuffle_sides,
            on_bad=arguments.on_bad,
            shard_bytes=arguments.shard_mib * 2**20,
            device=arguments.device if engine else arguments.place(),
            compute_dtype=_compute(arguments),
            encoders=arguments.encoders(),
            processes=arguments.processes,
            engine=engine,
            reading=lambda done, total: line(done, total, "comparisons read"),
            progress=lambda done, total: line(done, total, "pictures and prompts encoded"),
        )
    shown.print(str(added))
    say_left_out(unread, shown)
    for note in added.prepared.notes():
        shown.print(note)
    return {"cache": place, **added.to_dict(), "tables_left_out": unread}


def _compute(arguments: Arguments, header: CacheHeader | None = None) -> torch.dtype | None:
    """What is asked for, or else what the cache says."""
    own = None if header is None else computed_in(header)
    return own if arguments.compute_dtype == "auto" else getattr(torch, arguments.compute_dtype)


def _preparing(arguments: Arguments, counts: Counts | None = None) -> Preparing:
    """What the encoders take, for so much that is new."""
    header = read_header(arguments.cache)
    by = header.backbone
    return Preparing(
        arguments.backbone or by.pretrained,
        pictures=counts.pictures if counts else 0,
        prompts=counts.prompts if counts else 0,
        batch_size=header.encode_batch or 16,
        sizes=header.wanted_sizes,
        prompt_length=by.prompt_length,
        stored=getattr(torch, header.dtype),
        revision=None if arguments.backbone else by.revision,
        device=arguments.place(),
        compute=_compute(arguments, header),
        processes=arguments.processes,
        encoders=arguments.encoders(),
        t5_weights=by.t5_weights,
    )
