"""Writers of a cache that Ray starts, on this machine or on many that see its folder.

The one who plans deals out the shards, those of prompts first; a worker encodes a shard and puts it in its place, so
that no tensors travel. A shard holds the same bytes whoever makes it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from dina_lrm.data.cache.format import BackboneIdentity
from dina_lrm.data.encoding.encode import encode_pictures, encode_prompts
from dina_lrm.data.encoding.journal import Journal, shard_path
from dina_lrm.data.encoding.plan import PLAN
from dina_lrm.data.encoding.tasks import Task, Work
from dina_lrm.data.encoding.writing import PROMPT_BLOCK, Writing, check_faults, made_by
from dina_lrm.engines.ray_pool import RayPool
from dina_lrm.engines.settings import RayEngine

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_LOOKED_FOR: Final = 3
"""Pictures that a worker is asked about before anything is loaded."""


Shards = tuple[Task, ...]


class WorkerReplacedWarning(UserWarning):
    """Workers of Ray ended before all was made, and others made their shards."""


@final
class _Writer:
    """What a worker holds: the encoders, and what says what each shard is."""

    def __init__(self, backbone: Backbone, writing: Writing) -> None:
        self._backbone, self._writing = backbone, writing
        self._journal = Journal(writing.folder, made_by(backbone))
        self.told: Mapping[str, Any] = {"generator": BackboneIdentity.of(backbone.config).encodes_as}
        self.asks: Mapping[str, Any] = {}

    def ready(self, task: Shards, common: None) -> list[Work]:
        """What the rows of shards encode."""
        with closing(self._writing.plan()) as plan:  # by this thread: one of another is not to be used
            return [plan.work(shard, self._writing.buckets) for shard in task]

    def done(self, ready: list[Work]) -> int:
        """Encode the shards and put them in their places; how many rows they have."""
        encode: Any = encode_prompts if ready[0].task.bucket is None else encode_pictures
        with closing(self._writing.plan()) as plan:
            for encoded in encode(self._backbone, ready, self._writing.settings, _silent):
                check_faults(plan, encoded, self._writing.settings)
                self._journal.put(encoded)
        return sum(work.task.rows for work in ready)


@dataclass(frozen=True)
class _Load:
    """Makes a writer where it is called."""

    loaded: Callable[[int], Backbone]
    writing: Writing

    def __call__(self) -> _Writer:
        return _Writer(self.loaded(0), self.writing)


@dataclass(frozen=True)
class RayWriters:
    """Writers that Ray starts and that make their encoders by `loaded`, which is sent to them.

    A worker that ends is replaced, and said at the end by a `WorkerReplacedWarning`.
    """

    engine: RayEngine
    loaded: Callable[[int], Backbone]
    with_gpu: bool = True

    def __call__(self, backbone: Backbone, writing: Writing, report: Callable[[int], None]) -> None:
        """Make all shards. `backbone` is that of this process, which encodes nothing.

        Raises ValueError for what a worker refuses, and as `RayPool`.
        """
        with closing(writing.plan()) as plan:
            left = [task for task in plan.tasks() if not shard_path(writing.folder, task.name).is_file()]
            pictures = next((plan.pictures_of(task) for task in left if task.bucket is not None), ())
        if not left:
            return
        seen = [str(writing.folder / PLAN), *(place.path for place in pictures[:_LOOKED_FOR] if place.kind == "path")]
        pool: RayPool[Shards, list[Work], int] = RayPool(
            self.engine, _Load(self.loaded, writing), with_gpu=self.with_gpu, files=seen, named=_named
        )
        with pool:
            for rows in pool.each(_blocks(left)):
                report(rows)
            for note in pool.notes():
                warnings.warn(note, WorkerReplacedWarning, stacklevel=2)


def _blocks(tasks: Sequence[Task]) -> list[Shards]:
    """Shards of prompts in blocks, since each text encoder reads a block before the next is needed; then pictures."""
    prompts = [task for task in tasks if task.bucket is None]
    blocks = [tuple(prompts[first : first + PROMPT_BLOCK]) for first in range(0, len(prompts), PROMPT_BLOCK)]
    return blocks + [(task,) for task in tasks if task.bucket is not None]


def _named(task: Shards) -> str:
    return f"the shards {task[0].name} to {task[-1].name}" if len(task) > 1 else f"the shard {task[0].name}"


def _silent(rows: int) -> None:
    """The one who deals out counts whole shards."""
