"""`dina-lrm prepare`: comparisons in, a cache of latents and conditioning out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import torch

from dina_lrm.cli.arguments.prepare import Arguments
from dina_lrm.cli.common import chosen_device, console, progress
from dina_lrm.cli.comparisons import parsed_mapping, say_left_out
from dina_lrm.data.named_source import NamedSource
from dina_lrm.data.prepared import Prepared, prepare
from dina_lrm.data.unfinished import check_free


def run(arguments: Arguments) -> dict[str, object]:
    """Check, encode, and say what the cache holds."""
    check_free(arguments.out)
    source = NamedSource(
        arguments.source,
        arguments.comparisons,
        arguments.split,
        arguments.images,
        arguments.seed,
        tuple(arguments.ignore_columns),
        parsed_mapping(arguments.columns, arguments.source),
    )
    unread = source.tables_left_out()
    with progress("encoding", arguments.quiet) as report:
        prepared = prepare(
            source,
            arguments.backbone,
            arguments.out,
            shuffle=arguments.shuffle_sides,
            resolution=arguments.resolution,
            prompt_length=arguments.prompt_length,
            dtype=getattr(torch, arguments.dtype),
            on_bad=arguments.on_bad,
            batch_size=arguments.batch_size,
            revision=arguments.revision,
            device=chosen_device(arguments.device),
            progress=report,
        )
    shown = console(arguments.quiet)
    held, *more = _told(arguments, prepared)
    shown.print(held)
    say_left_out(unread, shown)
    for line in more:
        shown.print(line)
    return _result(arguments, prepared) | {"tables_left_out": unread, "unread_prompts": len(prepared.unread_prompts)}


def _told(arguments: Arguments, prepared: Prepared) -> Iterator[str]:
    data, header = prepared.data, prepared.data.header
    assert header is not None
    yield (
        f"{header.pairs} comparisons ({header.ties} ties) of {data.images} images and {len(data.prompts)} prompts in "
        f"{arguments.out}"
    )
    if header.missing_pairs:
        yield (
            f"{header.missing_pairs} comparisons are missing: {header.missing_images} images cannot be read, such as "
            f"{data.missing[0].reason}; all are listed in {arguments.out / 'missing.parquet'}"
        )
    if header.truncated_prompts:
        yield f"{header.truncated_prompts} prompts were cut, such as by {next(filter(None, data.truncated))}"
    if prepared.unread_prompts:
        yield f"{len(prepared.unread_prompts)} prompts are not read whole, such as {prepared.unread_prompts[0]}"


def _result(arguments: Arguments, prepared: Prepared) -> dict[str, object]:
    data, header = prepared.data, prepared.data.header
    assert header is not None
    return {
        "cache": arguments.out,
        "backbone": asdict(header.backbone),
        "resolution": header.resolution,
        "dtype": header.dtype,
        "content": header.content,
        "pairs": header.pairs,
        "ties": header.ties,
        "images": data.images,
        "prompts": len(data.prompts),
        "truncated_prompts": header.truncated_prompts,
        "missing_pairs": header.missing_pairs,
        "missing_images": header.missing_images,
        "buckets": data.sizes(),
    }
