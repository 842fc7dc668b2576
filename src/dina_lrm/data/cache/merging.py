"""Two caches become one: the union of what they hold, with their shards as they are.

Shards are linked, or copied where that cannot be, and never cut anew: a bucket's rows are those of the first cache,
then those of the second. What both hold (an image in a bucket, a prompt) must have one hash; the second one's row stays
in its shard, has no hash and is read by nobody. The comparisons are those of the first, then those of the second, so
that the content is that of one run over both, in either order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dina_lrm.data.cache import tables
from dina_lrm.data.cache.format import PROMPTS_PREFIX, CacheHeader, latents_prefix
from dina_lrm.data.cache.whole import PlacedShards, WholeCache
from dina_lrm.runs.files import folder_replaced_when_complete
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class Merged:
    """A merged cache, how many images and prompts both had, and how many shards were linked, and copied."""

    header: CacheHeader
    common_images: int
    common_prompts: int
    linked: int
    copied: int


def merge_caches(first: Path | str, second: Path | str, out: Path) -> Merged:
    """Write the union of two caches into the folder `out`, which appears when it is complete.

    Both are folders or addresses (`place_of`). Every table is compared with its hash, of the shards the heads alone;
    `verify_cache` reads them whole.

    Raises:
        FileExistsError: `out` exists.
        FileNotFoundError: there is no complete cache, or a file of one is gone.
        ValueError: they were encoded in other ways, or hold other values of one image or prompt; both are said.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder, or remove it first")
    sources = [WholeCache(folder) for folder in (first, second)]
    _check_alike(*sources)
    images = _joined(sources, "image")
    prompts = _joined(sources, "prompt")
    with folder_replaced_when_complete(out) as folder:
        placed = PlacedShards(folder)
        buckets = tuple(
            dataclasses.replace(bucket, shards=placed.table(latents_prefix(number), sources, number))
            for number, bucket in enumerate(sources[0].header.buckets)
        )
        made_by = dataclasses.replace(
            sources[0].header,
            buckets=buckets,
            prompts=placed.table(PROMPTS_PREFIX, sources, None),
            encode_batch=_same([source.header.encode_batch for source in sources]),
            pair_buckets=_same([source.header.pair_buckets for source in sources]),
            devices=_all_of([source.header.devices for source in sources]),
            compute_dtypes=_all_of([source.header.compute_dtypes for source in sources]),
            missing_images=sum(source.header.missing_images for source in sources),
        )
        held = tables.Tables(_pairs(sources, images, prompts), prompts.rows, _missing(sources), images.rows)
        header = tables.write_tables(folder, made_by, held)
    return Merged(header, images.common, prompts.common, placed.linked, placed.copied)


def _check_alike(one: WholeCache, other: WholeCache) -> None:
    """Raise ValueError where the two were not encoded alike, with both values."""
    first, second = one.header, other.header
    if not first.backbone.same_as(second.backbone):
        raise DinaError(f"{one.shown} was encoded by {first.backbone}, {other.shown} by {second.backbone}")
    for name in ("dtype", "resolution", "resolutions", "latent_scale", "latent_shift"):
        given = getattr(first, name), getattr(second, name)
        if given[0] != given[1]:
            raise DinaError(f"{one.shown} has {name} {given[0]}, {other.shown} {given[1]}; accepted: the same")
    sizes = [[(bucket.width, bucket.height) for bucket in header.buckets] for header in (first, second)]
    if sizes[0] != sizes[1]:
        raise DinaError(f"{one.shown} has buckets {sizes[0]}, {other.shown} {sizes[1]}; accepted: the same")


@dataclass(frozen=True)
class _Joined:
    """Rows of a table of both, and where each row of the second one is found, by bucket (None: prompts) and row."""

    rows: list[tuple[Any, ...]]
    place: dict[tuple[int | None, int], int]
    common: int


def _joined(sources: list[WholeCache], what: str) -> _Joined:
    one, other = sources
    name = tables.IMAGES_FILE if what == "image" else tables.PROMPTS_FILE
    starts: dict[int | None, int] = {}
    for bucket in (*range(len(one.header.buckets)), None):
        starts[bucket] = one.rows(bucket)
    known: dict[tuple[Any, str], tuple[int, str]] = {}
    rows, place, common, counts = list(one.tables[name]), {}, 0, dict.fromkeys(starts, 0)
    for number, (bucket, row, key, sha256) in enumerate(_keyed(rows, what)):
        if sha256:
            known[bucket, key] = (row if what == "image" else number, sha256)
    for told, (bucket, _, key, sha256) in zip(other.tables[name], _keyed(other.tables[name], what), strict=True):
        own, counts[bucket] = counts[bucket], counts[bucket] + 1
        there = known.get((bucket, key)) if sha256 else None
        if there is not None and there[1] != sha256:
            raise DinaError(
                f"{what} {key!r:.80} has the values {there[1][:12]} in {one.shown} and {sha256[:12]} in "
                f"{other.shown}; accepted: caches that one encoder made"
            )
        row = starts[bucket] + own
        place[bucket, own] = row if there is None else there[0]
        common += there is not None
        rows.append(_again(told, row, what, known=there is not None))
    if what == "image":
        rows.sort(key=lambda told: (told[0], told[1]))
    return _Joined(rows, place, common)


def _keyed(rows: list[tuple[Any, ...]], what: str) -> Iterator[tuple[int | None, int, str, str]]:
    """Bucket, row, key and hash of each row of images.parquet or of prompts.parquet."""
    for number, told in enumerate(rows):
        if what == "image":
            bucket, row, _, key, _, _, sha256 = told
            yield bucket, row, key, sha256
        else:
            yield None, number, told[0], told[3]


def _again(told: tuple[Any, ...], row: int, what: str, *, known: bool) -> tuple[Any, ...]:
    """A row of the second cache's table, at its new place; without a hash where the first one's stands for it."""
    sha256 = "" if known else told[-1]
    return (told[0], row, *told[2:-1], sha256) if what == "image" else (*told[:-1], sha256)


def _pairs(sources: list[WholeCache], images: _Joined, prompts: _Joined) -> Iterator[tuple[Any, ...]]:
    one, other = (source.tables[tables.PAIRS_FILE] for source in sources)
    yield from one
    start = sources[0].end
    for number, prompt, bucket_a, image_a, bucket_b, image_b, *labels in other:
        there = images.place[bucket_a, image_a], images.place[bucket_b, image_b]
        yield number + start, prompts.place[None, prompt], bucket_a, there[0], bucket_b, there[1], *labels


def _missing(sources: list[WholeCache]) -> Iterator[tuple[Any, ...]]:
    one, other = (source.tables[tables.MISSING_FILE] for source in sources)
    yield from one
    start = sources[0].end
    for number, *rest in other:
        yield number + start, *rest


def _all_of(told: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({each for some in told for each in some}))


def _same(values: list[Any]) -> Any:  # noqa: ANN401 - whatever a header records
    return values[0] if values[0] == values[1] else None
