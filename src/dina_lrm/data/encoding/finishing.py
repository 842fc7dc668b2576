"""From a plan and its shards to a cache: the tables, the header, and what had to be left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.cache import pairs
from dina_lrm.data.cache.format import BucketShards, CacheHeader
from dina_lrm.data.cache.shards import ShardInfo
from dina_lrm.data.cache.tables import Tables
from dina_lrm.data.encoding.journal import Head
from dina_lrm.data.encoding.plan import PlanReader
from dina_lrm.data.encoding.tasks import Task
from dina_lrm.typed import DinaError

Heads = Callable[[Iterable[Task]], Iterable[tuple[Task, Head]]]
"""What is known of some shards, one after another."""
Holes = dict[tuple[int | None, int], tuple[str, str]]
"""Rows that hold zeros, by bucket (None: of prompts) and number: how what they encode is called, and the reason."""
_SIDES = tuple((pairs.COLUMNS.index(f"bucket_{side}"), pairs.COLUMNS.index(f"image_{side}")) for side in "ab")
_NUMBER, _PROMPT, _PAIR_ID = (pairs.COLUMNS.index(name) for name in ("number", "prompt", "pair_id"))


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a cache says of its shards: the header without counts, and the rows of its tables."""

    header: CacheHeader
    tables: Tables


def finished(plan: PlanReader, heads: Heads, made_by: CacheHeader, buckets: tuple[Bucket, ...]) -> Finished:
    """What the tables and the header hold of a cache whose shards are all done.

    Raises ValueError where no comparison is left.
    """
    tasks = plan.tasks()
    shards: dict[int | None, list[ShardInfo]] = {}
    holes: Holes = {}
    for task, head in heads(tasks):
        shards.setdefault(task.bucket, []).append(head.info)
        for place, reason in head.notes.faults.items():
            holes[task.bucket, task.first + place] = name_of(plan, task, place), reason
    _expect_pairs(plan, holes)
    header = dataclasses.replace(
        made_by,
        buckets=tuple(BucketShards(b.width, b.height, tuple(shards.get(n, ()))) for n, b in enumerate(buckets)),
        prompts=tuple(shards.get(None, ())),
        missing_images=plan.pictures_at_fault + sum(bucket is not None for bucket, _ in holes),
    )
    prompts, images = _prompts(plan, heads, tasks), _images(plan, heads, tasks)
    return Finished(header, Tables(_pairs(plan, holes), prompts, _missing(plan, holes), images))


def name_of(plan: PlanReader, task: Task, place: int) -> str:
    """How what a row of a shard encodes is called."""
    if task.bucket is None:
        return f"prompt {plan.prompts_of(task)[place]!r:.80}"
    return plan.pictures_of(task)[place].name


def _expect_pairs(plan: PlanReader, holes: Holes) -> None:
    if not plan.known.pairs and next(_pairs(plan, holes), None) is None:
        _, _, image, reason = next(_missing(plan, holes))
        raise DinaError(f"not one comparison could be encoded; the first: {image}: {reason}")


def _hole(row: tuple[Any, ...], holes: Holes) -> tuple[str, str] | None:
    """What a comparison lacks: the name and the reason of the first of its rows that is none."""
    wanted = [*((row[bucket], row[image]) for bucket, image in _SIDES), (None, row[_PROMPT])]
    return next((holes[each] for each in wanted if each in holes), None) if holes else None


def _pairs(plan: PlanReader, holes: Holes) -> Iterator[tuple[Any, ...]]:
    return (row for row in plan.pair_rows() if _hole(row, holes) is None)


def _missing(plan: PlanReader, holes: Holes) -> Iterator[tuple[Any, ...]]:
    """What planning left out, then what encoding did, by the number of the comparison."""
    found = ((row, _hole(row, holes)) for row in plan.pair_rows()) if holes else ()
    later = ((row[_NUMBER], row[_PAIR_ID], *hole) for row, hole in found if hole is not None)
    return iter(sorted([*plan.missing_rows(), *later], key=lambda row: row[0]))


def _prompts(plan: PlanReader, heads: Heads, tasks: list[Task]) -> Iterator[tuple[Any, ...]]:
    for task, head in heads([task for task in tasks if task.bucket is None]):
        notes = head.notes
        told = zip(plan.prompts_of(task), notes.tokens, head.hashes, strict=True)
        for row, (text, tokens, sha256) in enumerate(told):
            yield text, notes.cut.get(row), tokens, "" if row in notes.faults else sha256


def _images(plan: PlanReader, heads: Heads, tasks: list[Task]) -> Iterator[tuple[Any, ...]]:
    for task, head in heads([task for task in tasks if task.bucket is not None]):
        for row, (told, sha256) in enumerate(zip(plan.sizes_of(task), head.hashes, strict=True)):
            name, key, width, height = told
            found = "" if row in head.notes.faults else sha256
            yield task.bucket, task.first + row, name, key, width, height, found
