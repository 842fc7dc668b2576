"""What a reward model costs, as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table

from dina_lrm.profiling.generators import GENERATORS
from dina_lrm.profiling.hardware import seconds
from dina_lrm.profiling.jobs import Counted
from dina_lrm.profiling.measuring import MeasuredRow
from dina_lrm.screen import add_row, text_of


def counted_shown(found: Counted, sizes: Sequence[tuple[int, int]]) -> Iterator[str | Table]:
    """What was counted, as it is shown: a table for each (side in pixels, batch), and what the numbers are."""
    for side, batch in sizes:
        yield counted_table(found, side, batch)
    for side, cost in found.datasets.items():
        yield (
            f"{cost.pairs:,} pairs at {side} pixels: {cost.storage_bytes / 1e12:.2f} TB in 16 bits, "
            f"{cost.encoding_hours:.0f} GPU hours to encode, {cost.training_hours:.0f} for an epoch"
        )
    yield (
        f"{GENERATORS[found.subject].about}. Counted on shapes; time is a roofline at half the peak of an "
        f"{found.gpu.upper()}, memory is weights in 16 bits and what autograd keeps: a lower bound of the peak."
    )


def measured_shown(subject: str, rows: Sequence[MeasuredRow]) -> Iterator[Table]:
    """What was measured, a table for each batch size, the smallest first."""
    for batch in sorted({row.batch for row in rows}):
        yield measured_table(f"{subject}, batch {batch}", [row for row in rows if row.batch == batch])


def counted_table(found: Counted, side: int, batch: int) -> Table:
    """The jobs on square images of `side` pixels, `batch` at once: parameters, FLOPs, memory, time by a roofline."""
    heads = ("job", "params", "forward", "back", "memory", found.gpu.upper(), "per s")
    table = cost_table(f"{found.subject}, {side} pixels, batch {batch}", heads)
    for row in found.of(side, batch):
        expected = seconds(row.cost, found.gpu)
        add_row(
            table,
            row.job,
            f"{row.cost.parameters / 1e9:.2f} B",
            f"{short(row.cost.forward / 1e12)} TF",
            f"{short(row.cost.backward / 1e12)} TF" if row.cost.backward else "\u2013",
            f"{short(row.memory_bytes / 2**30)} GiB",
            f"{short(1e3 * expected)} ms",
            f"{row.batch / expected:.3g}",
        )
    return table


def measured_table(title: str, rows: Sequence[MeasuredRow]) -> Table:
    """Jobs as they were measured: latency, throughput, FLOPs and the most that was held."""
    table = cost_table(title, ("job", "latency", "a second", "GFLOPs", "peak memory"))
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


def short(value: float) -> str:
    """Three digits or so: the table is to fit a terminal of 80 columns."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cost_table(title: str, heads: tuple[str, ...]) -> Table:
    """A table of a first column of names and others of numbers, narrow enough for a terminal."""
    table = Table(title=text_of(title), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(heads):
        # The name of a job breaks in a narrow terminal, a number never
        table.add_column(text_of(name), justify="right" if number else "left", no_wrap=number > 0)
    return table
