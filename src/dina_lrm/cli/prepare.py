"""`dina-lrm prepare`: comparisons in, a cache of latents and conditioning out."""

from __future__ import annotations

import torch

from dina_lrm.cli.arguments.prepare import Arguments
from dina_lrm.cli.comparisons import say_left_out, source_of
from dina_lrm.console.common import console, progress
from dina_lrm.data.encoding.prepared import prepare
from dina_lrm.data.encoding.unfinished import check_free
from dina_lrm.data.named_source import NamedSource


def run(arguments: Arguments) -> dict[str, object]:
    """Check, encode, and say what the cache holds."""
    check_free(arguments.out)
    source = source_of(arguments, NamedSource(arguments.source, arguments.comparisons))
    unread = source.tables_left_out()
    with progress("encoding", arguments.quiet, "comparison") as report:
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
            batch_size=arguments.batch_size,
            revision=arguments.revision,
            device=arguments.place(),
            progress=report,
        )
    shown = console(arguments.quiet)
    shown.print(str(prepared))
    say_left_out(unread, shown)
    for note in prepared.notes():
        shown.print(note)
    more = {"tables_left_out": unread, "unread_prompts": len(prepared.unread_prompts)}
    return {"cache": arguments.out, **prepared.to_dict(), **more}
