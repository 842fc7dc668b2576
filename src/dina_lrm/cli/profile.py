"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from dina_lrm.cli.arguments.profile import Arguments
from dina_lrm.console.common import UserError, chosen_device, console, progress
from dina_lrm.profiling.generators import GENERATORS
from dina_lrm.profiling.hardware import gpu
from dina_lrm.profiling.jobs import counted
from dina_lrm.profiling.measuring import measure_model
from dina_lrm.profiling.pixel_judges import pixel_judge
from dina_lrm.reports.cost_plot import refl_cost, step_costs
from dina_lrm.reports.costs import counted_table, measured_table
from dina_lrm.reports.theme import save_figure


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


def _count(arguments: Arguments) -> dict[str, object]:
    sizes = [(side, batch) for side in arguments.resolution for batch in arguments.batch_sizes]
    with progress("counting", arguments.quiet) as report:
        found = counted(
            arguments.subject,
            sizes,
            arguments.gpu,
            arguments.levels,
            arguments.pixel_rewards,
            arguments.dataset_pairs,
            report,
        )
    shown = console(arguments.quiet)
    for side, batch in sizes:
        shown.print(counted_table(found, side, batch))
    for side, cost in found.datasets.items():
        shown.print(
            f"{cost.pairs:,} pairs at {side} pixels: {cost.storage_bytes / 1e12:.2f} TB in 16 bits, "
            f"{cost.encoding_hours:.0f} GPU hours to encode, {cost.training_hours:.0f} for an epoch",
        )
    shown.print(
        f"{GENERATORS[arguments.subject].about}. Counted on shapes; time is a roofline at half the peak of an "
        f"{arguments.gpu.upper()}, memory is weights in 16 bits and what autograd keeps: a lower bound of the peak.",
    )
    if arguments.plot is not None:
        last = found.of(*max(sizes))
        flops = {row.job: row.cost.forward + row.cost.backward for row in last}
        _draw(arguments.plot, flops, {row.job: row.memory_bytes for row in last})
    return found.to_dict()


def _measure(arguments: Arguments) -> dict[str, object]:
    device = chosen_device(arguments.device)
    with progress("measuring", arguments.quiet) as report:
        found = measure_model(
            arguments.subject,
            torch.device(device),
            arguments.batch_sizes,
            arguments.levels,
            arguments.rounds,
            report,
            arguments.backbone,
        )
    shown = console(arguments.quiet)
    for batch in sorted(arguments.batch_sizes):
        title = f"{arguments.subject} on {device}, batch {batch}"
        shown.print(measured_table(title, [row for row in found if row.batch == batch]))
    if arguments.plot is not None:
        last = [row for row in found if row.batch == max(arguments.batch_sizes)]
        _draw(arguments.plot, {row.job: row.flops for row in last}, {row.job: row.peak_bytes for row in last})
    return {"subject": arguments.subject, "device": device, "rows": [asdict(row) for row in found]}


def _draw(path: Path, flops: Mapping[str, float], held: Mapping[str, float]) -> None:
    save_figure(refl_cost(step_costs(flops, held)), path)
