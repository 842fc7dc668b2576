"""Whether there is room for what is planned, said before anything is encoded."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dina_lrm.data.buckets import Bucket
from dina_lrm.data.encoding.encode import latents_shape
from dina_lrm.data.encoding.settings import EncodingSettings
from dina_lrm.data.encoding.tasks import Task
from dina_lrm.typed import DinaError

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_TOLD: Final = 512
"""Bytes for each row beside its tensors: in the tables, in the head of its shard."""
_TABLES: Final = 2**20


def row_bytes(backbone: Backbone, settings: EncodingSettings, size: Bucket | None) -> int:
    """Bytes of the tensors of a picture that gets `size`, or of a prompt (None), with all its padding."""
    if size is not None:
        return settings.dtype.itemsize * math.prod(latents_shape(backbone, size))
    shape = backbone.prompt_shape
    return settings.dtype.itemsize * (shape.tokens * shape.width + shape.pooled) + shape.tokens


def check_room(folder: Path, left: Iterable[Task], bytes_of: Callable[[int | None], int]) -> None:
    """Raise ValueError where the shards that are to be made do not fit on the disk, or into a file, with the numbers.

    Prompts are counted with their padding, of which some layouts store less.
    """
    wanted = {task: task.rows * (bytes_of(task.bucket) + _TOLD) for task in left}
    needed = sum(wanted.values()) + _TABLES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DinaError(
            f"{folder}: {needed:,} bytes are needed for what is to be encoded, {free:,} are free; accepted: another "
            "folder (--out), a smaller type (--dtype bfloat16), or fewer comparisons. What is planned stays"
        )
    most, largest = _most_in_a_file(), max(wanted.values(), default=0)
    if most is not None and largest > most:
        raise DinaError(
            f"{folder}: a file of {largest:,} bytes is to be written, and the system allows {most:,} (ulimit -f); "
            "raise that limit, or encode with smaller shards"
        )


def _most_in_a_file() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit
