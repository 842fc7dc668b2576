"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console, progress

if TYPE_CHECKING:
    from rich.table import Table

    from dina_lrm.profiling.jobs import DatasetCost, JobCost


@dataclass
class Arguments(CommonArguments):
    """Count what a reward model costs on a generator of full size, without weights; or measure one that is here.

    A generator of the paper (sd3.5-medium, flux.1-dev) is counted: parameters, FLOPs, memory that autograd keeps, and
    the seconds that a roofline expects on a GPU, for scoring, training and one ReFL step, beside rewards of pixels. A
    reward model is measured: latency, throughput and memory by batch and number of noise levels.

    Examples:
        dina-lrm profile sd3.5-medium --resolution 1024 --gpu h100
        dina-lrm profile synthetic --batch-sizes 1 16
    """

    subject: Positional[str]
    """A generator to count (sd3.5-medium, flux.1-dev), or a reward model to measure ("synthetic", folder, hub id)."""
    resolution: tuple[int, ...] = (512, 1024)
    """Sides of square images to count, in pixels."""
    batch_sizes: tuple[int, ...] = (1, 16)
    """Images scored at once, when measured; the first is counted."""
    levels: int = 3
    """Noise levels of the ensemble."""
    gpu: str = "h100"
    """GPU of the estimate: h200, h100, a100, l40s or rtx4090."""
    dataset_pairs: int = 800_000
    """Pairs whose storage and hours are estimated."""
    rounds: int = 5
    """Measured rounds of each row; the median is shown."""
    device: str | None = None
    """Where to measure; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Count or measure, and show the table."""
    from dina_lrm.profiling.generators import GENERATORS
    from dina_lrm.profiling.hardware import gpu

    for name in ("resolution", "batch_sizes"):
        given = getattr(arguments, name)
        if not given or min(given) < 1:
            raise UserError(f"--{name.replace('_', '-')} {given}: accepted are one or more numbers of at least 1")
    if arguments.levels < 1 or arguments.rounds < 1:
        raise UserError(f"--levels {arguments.levels}, --rounds {arguments.rounds}: accepted are numbers of at least 1")
    gpu(arguments.gpu)
    if arguments.subject in GENERATORS:
        return _count(arguments)
    if not Path(arguments.subject).exists() and "/" not in arguments.subject and arguments.subject != "synthetic":
        raise UserError(
            f"{arguments.subject!r}: no such generator or reward model; accepted: {', '.join(GENERATORS)}, or a reward "
            'model: "synthetic", a folder, or a hub id'
        )
    return _measure(arguments)


def _count(arguments: Arguments) -> dict[str, object]:
    from dina_lrm.profiling.generators import generator
    from dina_lrm.profiling.jobs import dataset_cost, jobs

    multiple = 16
    wrong = [side for side in arguments.resolution if side % multiple]
    if wrong:
        raise UserError(f"--resolution {wrong[0]}: accepted are multiples of {multiple}")
    shown, rows = console(arguments.quiet), []
    costs: dict[int, DatasetCost] = {}
    with progress("counting", arguments.quiet) as report:
        for done, side in enumerate(arguments.resolution):
            report(done, len(arguments.resolution))
            rows += jobs(arguments.subject, side, arguments.batch_sizes[0], arguments.levels)
            costs[side] = dataset_cost(arguments.subject, side, arguments.dataset_pairs, arguments.gpu)
        report(len(arguments.resolution), len(arguments.resolution))
    found = [row.to_dict(arguments.gpu) for row in rows]
    shown.print(_counted_table(arguments, rows))
    for side, cost in costs.items():
        shown.print(
            f"{cost.pairs:,} pairs at {side} pixels: {cost.storage_bytes / 1e12:.2f} TB in 16 bits, "
            f"{cost.encoding_hours:.0f} GPU hours to encode, {cost.training_hours:.0f} for an epoch",
            markup=False,
        )
    shown.print(
        f"{generator(arguments.subject).about}. Counted on shapes; time is a roofline at half the peak of an "
        f"{arguments.gpu.upper()}, memory is weights in 16 bits and what autograd keeps: a lower bound of the peak.",
        markup=False,
    )
    datasets = [{"pixels": side, **asdict(cost)} for side, cost in costs.items()]
    return {"subject": arguments.subject, "gpu": arguments.gpu, "jobs": found, "datasets": datasets}


def _counted_table(arguments: Arguments, rows: list[JobCost]) -> Table:
    from rich.table import Table

    from dina_lrm.profiling.hardware import seconds

    batch = arguments.batch_sizes[0]
    table = Table(title=f"{arguments.subject}, batch {batch}")
    for name in ("job", "pixels", "parameters", "forward", "backward", "memory", f"{arguments.gpu.upper()}"):
        table.add_column(name, justify="left" if name == "job" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.job,
            str(row.pixels),
            f"{row.cost.parameters / 1e9:.2f} B",
            f"{row.cost.forward / 1e12:.2f} TF",
            f"{row.cost.backward / 1e12:.2f} TF",
            f"{row.memory_bytes / 2**30:.1f} GiB",
            f"{1e3 * seconds(row.cost, arguments.gpu):.1f} ms",
        )
    return table


def _measure(arguments: Arguments) -> dict[str, object]:
    from rich.table import Table

    from dina_lrm.model import LatentRewardModel
    from dina_lrm.profiling.measuring import measure_model

    device = chosen_device(arguments.device)
    model = LatentRewardModel.from_pretrained(arguments.subject, device=device)
    with progress("measuring", arguments.quiet) as report:
        rows = measure_model(model, arguments.batch_sizes, arguments.levels, arguments.rounds, report)
    table = Table(title=f"{arguments.subject} on {device}, {model.config.resolution} pixels")
    for name in ("input", "levels", "batch", "latency", "images/s", "GFLOPs an image", "peak memory"):
        table.add_column(name, justify="left" if name == "input" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.given,
            str(row.levels),
            str(row.batch),
            f"{1e3 * row.seconds:.1f} ms",
            f"{row.batch / row.seconds:.0f}",
            f"{row.flops / row.batch / 1e9:.2f}",
            f"{row.peak_bytes / 2**20:.0f} MiB",
        )
    console(arguments.quiet).print(table)
    parameters = model.describe()["parameters"]
    return {"subject": arguments.subject, "device": device, "parameters": parameters, "rows": [asdict(r) for r in rows]}
