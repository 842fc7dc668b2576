"""What an alignment would take, from a run of two updates that leaves nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.job import Aligned, AlignmentJob
from dina_lrm.runs.processes import peak_memory_bytes
from dina_lrm.screen import bytes_text


@contextmanager
def rehearsal(job: AlignmentJob, processes: int = 1) -> Iterator[AlignmentJob]:
    """The smallest run of a job, in a folder that is removed at the end of the block.

    So many processes can share its two updates; it looks at one picture of as many prompts as are scored at once.
    """
    with tempfile.TemporaryDirectory() as folder:
        few = job.config.smallest(processes)
        rows = list(range(min(max(2, few.micro_batch), len(job.prompts.shown.prompts))))
        held = replace(job.prompts, shown=job.prompts.shown.take(rows))
        yield replace(job, config=few, prompts=held, folder=Path(folder) / "run", rehearsal=True)


@dataclass(frozen=True)
class ExpectedCost:
    """What the whole run would take at the rate of its rehearsal; memory is that of the rehearsal, in bytes."""

    seconds_per_update: float
    seconds_per_look: float
    estimated_seconds: float
    peak_memory_bytes: int

    def sentence(self, config: AlignConfig, pairs: bool = False) -> str:
        """Say in a sentence what a run with these settings would take; `pairs` were given where none are drawn."""
        begins = "encoded" if pairs else "drawn"
        once = {"dpo": "pairs", "craft": "samples"}.get(config.algorithm)
        drawn = f"; its {once} are {begins} before, which is not counted" if once else ""
        return (
            f"dry run, nothing was kept: {self.seconds_per_update:.2f} s an update of {config.batch_size}, "
            f"{self.seconds_per_look:.2f} s a look; {config.steps} updates and {config.number_of_looks()} looks: about "
            f"{self.estimated_seconds / 60:.1f} min{drawn}; peak memory of the smallest batch "
            f"{bytes_text(self.peak_memory_bytes)}"
        )


def expected_cost(job: AlignmentJob, rehearsed: AlignmentJob, found: Aligned) -> ExpectedCost:
    """What `job` would take, when `rehearsed` ended as `found`: to the end, on this process."""
    assert found.update_seconds is not None, "a rehearsal has two updates"
    update = found.update_seconds * job.config.batch_size / rehearsed.config.batch_size
    picture = found.picture_seconds or 0.0  # only the main process looks
    look = picture * len(job.prompts.shown.prompts) * job.config.looks.images
    seconds = update * job.config.steps + look * job.config.number_of_looks()
    return ExpectedCost(update, look, seconds, peak_memory_bytes(torch.device(job.device)))
