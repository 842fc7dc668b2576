"""From comparisons to a plan: a bucket and a row for every picture, a row for every prompt; nothing is encoded.

Files are read once, for the hash of their content and their size; what stands in their pixels is not decoded. Rows are
numbered as comparisons name them first, so that a plan depends on the comparisons alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from dina_lrm.data.buckets import Bucket, common_bucket, nearest_bucket
from dina_lrm.data.comparison import Comparison, EncodedImage, ImageSource, image_key, image_name
from dina_lrm.data.encoding.pictures import Looked, looked_at
from dina_lrm.data.encoding.plan import Plan
from dina_lrm.data.encoding.settings import EncodingSettings
from dina_lrm.typed import DinaError

_CHUNK: Final = 64
_COMMIT: Final = 1024
"""Comparisons between two commits."""


class Seen(NamedTuple):
    """A picture of a comparison: where it is, the key of its content, and what was found of it."""

    source: ImageSource
    key: str
    found: Looked | str


def plan_comparisons(
    plan: Plan,
    comparisons: Iterable[Comparison],
    buckets: Sequence[Bucket],
    settings: EncodingSettings,
    pool: Executor,
    progress: Callable[[int], None],
) -> int:
    """Put all comparisons into the plan, from where it was left; returns how many there are.

    Raises:
        ValueError: others are there already; a bad picture with `on_bad="raise"`.
        PictureChangedError: a picture is another one than when it was planned.
    """
    done = 0
    for number, comparison, seen in _looked_ahead(comparisons, pool):
        keys, names = (seen[0].key, seen[1].key), (image_name(seen[0].source), image_name(seen[1].source))
        if not plan.knows(number, digest_of(comparison), keys, names):
            _plan_one(plan, number, comparison, seen, buckets, settings)
        done = number + 1
        if done % _COMMIT == 0:
            plan.commit()
        progress(done)
    return done


def digest_of(comparison: Comparison) -> str:
    """What tells a comparison from any other of the same images."""
    told: tuple[object, ...] = (comparison.prompt, comparison.preference, comparison.weight, comparison.pair_id)
    if comparison.preferences:
        told = (*told, comparison.preferences)
    return hashlib.sha256(repr(told).encode(errors="surrogatepass")).hexdigest()[:32]


def _plan_one(
    plan: Plan,
    number: int,
    comparison: Comparison,
    seen: tuple[Seen, Seen],
    buckets: Sequence[Bucket],
    settings: EncodingSettings,
) -> None:
    for each in seen:
        if plan.picture(each.key) is None:
            plan.add_picture(each.key, each.found)
    sizes = [plan.picture(each.key) for each in seen]
    chosen = _chosen(sizes, buckets, settings)
    for place, (each, size) in enumerate(zip(seen, sizes, strict=True)):
        fault = size if isinstance(size, str) else _misfit(each.source, chosen[place] if chosen else None)
        if fault is not None:
            if settings.on_bad == "raise":
                raise DinaError(f"comparison {number}: {fault}")
            return plan.add_missing(number, comparison.pair_id, image_name(each.source), fault)
    numbers = [buckets.index(bucket) for bucket in chosen]
    first, second = ((n, plan.image_row(n, each.key)) for n, each in zip(numbers, seen, strict=True))
    return plan.add_pair(number, comparison, plan.prompt_row(comparison.prompt), (first, second))


def _chosen(
    sizes: Sequence[tuple[int, int] | str | None], buckets: Sequence[Bucket], settings: EncodingSettings
) -> list[Bucket]:
    """The bucket of each picture; none where one cannot be read."""
    known = [size for size in sizes if isinstance(size, tuple)]
    if len(known) < len(sizes):
        return []
    if settings.pair_buckets == "own":
        return [nearest_bucket(size, buckets) for size in known]
    return [common_bucket(known, buckets)] * len(known)


def _misfit(source: ImageSource, bucket: Bucket | None) -> str | None:
    if bucket is None or not isinstance(source, EncodedImage) or source.size == (bucket.width, bucket.height):
        return None
    given = "x".join(map(str, source.size))
    return f"latents of {given} pixels do not fit the bucket {bucket.width}x{bucket.height}"


def _looked_ahead(
    comparisons: Iterable[Comparison], pool: Executor
) -> Iterator[tuple[int, Comparison, tuple[Seen, Seen]]]:
    """Each comparison with its pictures; those of the next ones are looked at meanwhile, a path only once."""
    numbered = enumerate(comparisons)
    now, known = _begun(islice(numbered, _CHUNK), pool, {})
    while now:
        following, known = _begun(islice(numbered, _CHUNK), pool, known)
        for number, comparison, (first, second) in now:
            yield number, comparison, (first.result(), second.result())
        now = following


_Begun = list[tuple[int, Comparison, "tuple[Future[Seen], Future[Seen]]"]]


def _begun(
    numbered: Iterable[tuple[int, Comparison]], pool: Executor, before: dict[str, Future[Seen]]
) -> tuple[_Begun, dict[str, Future[Seen]]]:
    looking: dict[str, Future[Seen]] = {}

    def look(source: ImageSource) -> Future[Seen]:
        if not isinstance(source, str | Path):
            return pool.submit(_look, source)
        path = str(source)
        looking[path] = looking.get(path) or before.get(path) or pool.submit(_look, source)
        return looking[path]

    found = [(number, each, (look(each.image_a), look(each.image_b))) for number, each in numbered]
    return found, looking


def _look(source: ImageSource) -> Seen:
    return Seen(source, image_key(source), looked_at(source))
