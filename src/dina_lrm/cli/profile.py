"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from rich import box
from rich.table import Table

from dina_lrm.cli.arguments.profile import Arguments
from dina_lrm.cli.common import UserError, chosen_device, console, progress
from dina_lrm.profiling.generators import GENERATORS
from dina_lrm.profiling.hardware import gpu, seconds
from dina_lrm.profiling.jobs import Counted, counted
from dina_lrm.profiling.measuring import MeasuredRow, measure_model
from dina_lrm.profiling.pixel_judges import pixel_judge
from dina_lrm.reports.cost_plot import refl_cost, step_costs
from dina_lrm.reports.theme import save_figure
from dina_lrm.screen import add_row, text_of


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
        shown.print(_counted_table(found, side, batch))
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


def _counted_table(found: Counted, side: int, batch: int) -> Table:
    heads = ("job", "params", "forward", "back", "memory", found.gpu.upper(), "per s")
    table = _table(f"{found.subject}, {side} pixels, batch {batch}", heads)
    for row in found.of(side, batch):
        expected = seconds(row.cost, found.gpu)
        add_row(
            table,
            row.job,
            f"{row.cost.parameters / 1e9:.2f} B",
            f"{_short(row.cost.forward / 1e12)} TF",
            f"{_short(row.cost.backward / 1e12)} TF" if row.cost.backward else "\u2013",
            f"{_short(row.memory_bytes / 2**30)} GiB",
            f"{_short(1e3 * expected)} ms",
            f"{row.batch / expected:.3g}",
        )
    return table


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
        shown.print(_measured_table(title, [row for row in found if row.batch == batch]))
    if arguments.plot is not None:
        last = [row for row in found if row.batch == max(arguments.batch_sizes)]
        _draw(arguments.plot, {row.job: row.flops for row in last}, {row.job: row.peak_bytes for row in last})
    return {"subject": arguments.subject, "device": device, "rows": [asdict(row) for row in found]}


def _measured_table(title: str, rows: list[MeasuredRow]) -> Table:
    table = _table(title, ("job", "latency", "a second", "GFLOPs", "peak memory"))
    for row in rows:
        add_row(
            table,
            row.job,
            f"{1e3 * row.seconds:.1f} ms",
            f"{row.batch / row.seconds:.3g}",
            f"{row.flops / 1e9:.2f}",
            f"{row.peak_bytes / 2**20:.0f} MiB",
        )
    return table


def _draw(path: Path, flops: Mapping[str, float], held: Mapping[str, float]) -> None:
    save_figure(refl_cost(step_costs(flops, held)), path)


def _short(value: float) -> str:
    """Three digits or so: the table is to fit a terminal of 80 columns."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(title: str, heads: tuple[str, ...]) -> Table:
    """A table of a first column of names and others of numbers, narrow enough for a terminal."""
    table = Table(title=text_of(title), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(heads):
        # The name of a job breaks in a narrow terminal, a number never
        table.add_column(text_of(name), justify="right" if number else "left", no_wrap=number > 0)
    return table
