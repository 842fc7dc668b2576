"""Writers that a launcher started (`torchrun`, `accelerate launch`), on one machine or on several that see one folder.

The first of them plans, says that it has, makes shards as the others do, and finishes when all have ended.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from accelerate.utils import broadcast_object_list

from dina_lrm.data.cache.format import HEADER, partial_folder
from dina_lrm.data.encoding.plan import PLAN
from dina_lrm.data.encoding.unfinished import SAID
from dina_lrm.data.encoding.writing import Writing, write_shards
from dina_lrm.runs.files import write_text
from dina_lrm.runs.processes import join_processes

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_PAUSE: Final = 0.2


def is_launched() -> bool:
    """Whether this process is one of several of a launch."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_first() -> bool:
    """Whether this process is the first of its launch, or alone."""
    return not is_launched() or os.environ["RANK"] == "0"


class Launch:
    """The processes of this launch, and what they say to each other by files in the folder that they write to."""

    def __init__(self, cpu: bool = False) -> None:
        state = join_processes(cpu)
        self.index, self.count, self.device = state.process_index, state.num_processes, state.device
        told = [secrets.token_hex(8)]
        broadcast_object_list(told, from_process=0)  # what an earlier launch said in the folder is not meant
        self._name = f"{SAID}{told[0]}"

    def first(self, backbone: Backbone, writing: Writing, report: Callable[[int], None]) -> None:
        """What the first process does when the plan is made: all shards, with the others."""
        write_text(writing.folder / self._name, "")
        write_shards(backbone, writing, report, self.index)
        others = [writing.folder / f"{self._name}.{number}" for number in range(1, self.count)]
        while not all(path.exists() for path in others):
            time.sleep(_PAUSE)

    def other(self, backbone: Backbone, writing: Writing, ended: Callable[[], bool]) -> None:
        """What every other process does, until the cache is finished, which `ended` says.

        Where one of them fails, the launcher ends all.
        """
        while not (writing.folder / self._name).exists():
            time.sleep(_PAUSE)
        write_shards(backbone, writing, lambda rows: None, self.index)
        write_text(writing.folder / f"{self._name}.{self.index}", "")
        while not ended():
            time.sleep(_PAUSE)


def is_finished(out: Path) -> bool:
    """Whether the cache `out`, which others make, has its name and is done."""
    return not partial_folder(out).exists() and (out / HEADER).is_file() and not (out / PLAN).exists()
