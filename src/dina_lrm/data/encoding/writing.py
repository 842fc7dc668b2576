"""A writer: it claims shards, encodes them and puts them in their places, until all are there.

Any number of writers share a folder. Which of them makes a shard decides nothing of what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.encoding.claims import Claims
from dina_lrm.data.encoding.encode import encode_pictures, encode_prompts
from dina_lrm.data.encoding.journal import Journal, shard_path
from dina_lrm.data.encoding.plan import PlanReader
from dina_lrm.data.encoding.settings import EncodingSettings, dtype_name
from dina_lrm.data.encoding.tasks import Encoded, Task, Work
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

PROMPT_BLOCK: Final = 4
"""Shards of prompts that are claimed at once: each text encoder reads them all before the next one is needed."""
_PAUSE: Final = 0.2
"""Seconds between two looks at what others are at."""


@dataclass(frozen=True)
class Writing:
    """What a writer needs beside its encoders; it can be sent to another process that sees the same folder."""

    folder: Path
    settings: EncodingSettings
    buckets: tuple[Bucket, ...]

    def plan(self) -> PlanReader:
        """The plan of the folder."""
        return PlanReader(self.folder)


def write_shards(backbone: Backbone, writing: Writing, report: Callable[[int], None], writer: int = 0) -> None:
    """Make shards until none is missing: prompts first, so that text encoders are done with before pictures begin.

    `writer` says where in the list of shards this one begins, so that several seldom want the same. `report` is told
    how many rows were encoded. Raises ValueError for a row that cannot be encoded, with `on_bad="raise"`.
    """
    plan, settings = writing.plan(), writing.settings
    journal = Journal(writing.folder, made_by(backbone))
    tasks = plan.tasks()
    with Claims(writing.folder) as claims:
        for bucket_of in (_is_prompts, _is_pictures):
            chosen = [task for task in tasks if bucket_of(task)]
            turned = chosen[writer % max(len(chosen), 1) :] + chosen[: writer % max(len(chosen), 1)]
            while left := [task for task in turned if not shard_path(writing.folder, task.name).is_file()]:
                done = 0
                taken = _taken(claims, writing, plan, left)
                for encoded in _encoded(backbone, taken, settings, report):
                    check_faults(plan, encoded, settings)
                    journal.put(encoded)
                    claims.done(encoded.task.name)
                    done += 1
                if not done:  # others are at what is left
                    time.sleep(_PAUSE)
    plan.close()


def _is_prompts(task: Task) -> bool:
    return task.bucket is None


def _is_pictures(task: Task) -> bool:
    return task.bucket is not None


def _taken(claims: Claims, writing: Writing, plan: PlanReader, left: Sequence[Task]) -> Iterator[Work]:
    for task in left:
        if not claims.take(task.name):
            continue
        if shard_path(writing.folder, task.name).is_file():  # another one was done with it just now
            claims.done(task.name)
            continue
        yield plan.work(task, writing.buckets)


def _encoded(
    backbone: Backbone, works: Iterator[Work], settings: EncodingSettings, report: Callable[[int], None]
) -> Iterator[Encoded]:
    """What comes of the works that can be had, which are all of prompts or all of pictures."""
    first = next(works, None)
    if first is None:
        return
    if first.task.bucket is not None:
        yield from encode_pictures(backbone, _with(first, works), settings, report)
        return
    block = [first]
    while block:
        block += [work for work in [next(works, None) for _ in range(PROMPT_BLOCK - len(block))] if work is not None]
        yield from encode_prompts(backbone, block, settings, report)
        block = [work for work in [next(works, None)] if work is not None]


def _with(first: Work, others: Iterator[Work]) -> Iterator[Work]:
    yield first
    yield from others


def check_faults(plan: PlanReader, encoded: Encoded, settings: EncodingSettings) -> None:
    """Raise ValueError for a row that could not be encoded, where that is not to be passed over."""
    if settings.on_bad == "raise" and encoded.notes.faults:
        place, reason = min(encoded.notes.faults.items())
        name = f"prompt {plan.prompts_of(encoded.task)[place]!r:.80}: " if encoded.task.bucket is None else ""
        raise DinaError(f"comparison {plan.first_pair_of(encoded.task, place)}: {name}{reason}")


def made_by(backbone: Backbone) -> tuple[str, str]:
    """What encodes and the type that it computes in, as the cache records them."""
    return device_name(backbone), dtype_name(backbone.dtype)


def device_name(backbone: Backbone) -> str:
    """What encodes, as the cache records it."""
    device = backbone.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
