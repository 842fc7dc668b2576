"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from dina_lrm.cli.arguments.profile import Arguments
from dina_lrm.console.common import UserError, console, progress
from dina_lrm.profiling.generators import GENERATORS
from dina_lrm.profiling.hardware import gpu
from dina_lrm.profiling.jobs import counted
from dina_lrm.profiling.measuring import measure_model
from dina_lrm.profiling.pixel_judges import pixel_judge
from dina_lrm.reports.cost.plot import draw_counted, draw_measured
from dina_lrm.reports.cost.tables import counted_shown, measured_shown


def run(arguments: Arguments) -> dict[str, object]:
    """Count or measure, and show the table."""
    gpu(arguments.gpu)
    for judge in arguments.pixel_rewards:
        pixel_judge(judge)
    if arguments.subject in GENERATORS:
        return _count(arguments)
    if not Path(arguments.subject).exists() and "/" not in arguments.subject and arguments.subject != "synthetic":
        raise UserError(
            f"{arguments.subject!r}: no such generator or reward model; accepted: {', '.join(GENERATORS)}, or a reward "
            'model: "synthetic", a folder, or a hub id'
        )
    return _measure(arguments)


def _count(given: Arguments) -> dict[str, object]:
    sizes = [(side, batch) for side in given.resolution for batch in given.batch_sizes]
    rest = (given.gpu, given.levels, given.pixel_rewards, given.dataset_pairs)
    with progress("counting", given.quiet, "job") as report:
        found = counted(given.subject, sizes, *rest, report)
    for part in counted_shown(found, sizes):
        console(given.quiet).print(part)
    if given.plot is not None:
        draw_counted(given.plot, found.of(*max(sizes)))
    return found.to_dict()


def _measure(given: Arguments) -> dict[str, object]:
    device, rest = given.place(), (given.batch_sizes, given.levels, given.rounds)
    with progress("measuring", given.quiet, "job") as report:
        found = measure_model(given.subject, torch.device(device), *rest, report, given.backbone, given.torch_dtype())
    for table in measured_shown(f"{given.subject} on {device}", found):
        console(given.quiet).print(table)
    if given.plot is not None:
        draw_measured(given.plot, found)
    return {"subject": given.subject, "device": device, "rows": [asdict(row) for row in found]}
