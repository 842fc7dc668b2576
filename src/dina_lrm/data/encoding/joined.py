"""What was encoded anew, behind what a cache holds: one set of tables, and the shards of both in one folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dina_lrm.data.cache.format import PROMPTS_PREFIX, latents_prefix
from dina_lrm.data.cache.tables import IMAGES_FILE, MISSING_FILE, PAIRS_FILE, PROMPTS_FILE, Tables
from dina_lrm.data.cache.whole import PlacedShards, WholeCache
from dina_lrm.data.encoding.finishing import Finished


def joined(cache: WholeCache, new: Finished) -> Finished:
    """The tables of a cache, then those of a plan that began behind it (`Plan.begin_behind`).

    What is missing and was listed already, with the same picture, reason and name, is listed once.
    """
    held, start = cache.tables, cache.end
    listed = {row[1:] for row in held[MISSING_FILE]}
    missing = [(number + start, *rest) for number, *rest in new.tables.missing if tuple(rest) not in listed]
    images = sorted([*held[IMAGES_FILE], *new.tables.images], key=lambda row: (row[0], row[1]))
    faults = {row[2] for row in missing} - {row[2] for row in held[MISSING_FILE]}
    header = dataclasses.replace(
        cache.header,
        buckets=tuple(
            dataclasses.replace(bucket, shards=(*bucket.shards, *more.shards))
            for bucket, more in zip(cache.header.buckets, new.header.buckets, strict=True)
        ),
        prompts=(*cache.header.prompts, *new.header.prompts),
        missing_images=cache.header.missing_images + len(faults),
        devices=tuple(sorted({*cache.header.devices, *new.header.devices})),
        compute_dtypes=tuple(sorted({*cache.header.compute_dtypes, *new.header.compute_dtypes})),
        library_version=new.header.library_version,
    )
    pairs = ((number + start, *rest) for number, *rest in new.tables.pairs)
    tables = Tables(
        [*held[PAIRS_FILE], *pairs],
        [*held[PROMPTS_FILE], *new.tables.prompts],
        [*held[MISSING_FILE], *missing],
        images,
    )
    return Finished(header, tables)


def place_shards(cache: WholeCache, folder: Path) -> None:
    """Link the shards of a cache into another folder, under their own names, or copy them where that cannot be."""
    placed = PlacedShards(folder)
    for number in range(len(cache.header.buckets)):
        placed.table(latents_prefix(number), [cache], number)
    placed.table(PROMPTS_PREFIX, [cache], None)
