"""`dina-lrm profile`: what a reward model costs, counted at full size or measured on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console, progress
from dina_lrm.runs.ownership import check_page
from dina_lrm.runs.places import check_file
from dina_lrm.screen import add_row, text_of

if TYPE_CHECKING:
    from rich.table import Table

    from dina_lrm.profiling.jobs import DatasetCost, JobCost

_REWARD, _STEP = "ReFL reward, ", "ReFL step, "
"""How jobs of ReFL are called, before the reward's name."""


@dataclass
class Arguments(CommonArguments):
    """Count what a reward model costs on a generator of full size, without weights; or measure one that is here.

    A generator of the paper (sd3.5-medium, flux.1-dev, z-image-turbo) is counted: parameters, FLOPs, memory that
    autograd keeps, and the seconds that a roofline expects on a GPU, for scoring, training and one ReFL step, beside
    rewards of pixels. A reward model is measured: latency, throughput and memory of the same jobs.

    Examples:
        dina-lrm profile sd3.5-medium --resolution 1024 --gpu h100
        dina-lrm profile synthetic --batch-sizes 1 16
    """

    subject: Positional[str]
    """A generator to count (sd3.5-medium, flux.1-dev, z-image-turbo), or a reward model to measure ("synthetic", a
    folder, a hub id)."""
    resolution: tuple[int, ...] = (512, 1024)
    """Sides of square images to count, in pixels."""
    batch_sizes: tuple[int, ...] = (1, 16)
    """Images scored at once; pairs in a training step."""
    levels: int = 3
    """Noise levels of the ensemble."""
    pixel_rewards: tuple[str, ...] = ("clip-b16", "pickscore", "hpsv3")
    """Pixel rewards whose ReFL step is counted beside the latent reward's."""
    gpu: str = "h100"
    """GPU of the estimate: h200, h100, a100, l40s or rtx4090."""
    dataset_pairs: int = 800_000
    """Pairs whose storage and hours are estimated."""
    rounds: int = 5
    """Measured rounds of each row; the median is shown."""
    backbone: str | None = None
    """Where the generator is, a folder or hub id, when it is not where the measured model says."""
    plot: Path | None = None
    """Draw what a ReFL step of the largest batch and image costs with each reward into this file (.png, .svg, .pdf)."""
    device: str | None = None
    """Where to measure; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Count or measure, and show the table."""
    from dina_lrm.profiling.generators import GENERATORS
    from dina_lrm.profiling.hardware import gpu
    from dina_lrm.profiling.pixel_judges import pixel_judge

    for name in ("resolution", "batch_sizes"):
        given = getattr(arguments, name)
        if not given or min(given) < 1:
            raise UserError(f"--{name.replace('_', '-')} {given}: accepted are one or more numbers of at least 1")
    if arguments.levels < 1 or arguments.rounds < 1:
        raise UserError(f"--levels {arguments.levels}, --rounds {arguments.rounds}: accepted are numbers of at least 1")
    if arguments.dataset_pairs < 1:
        raise UserError(f"--dataset-pairs {arguments.dataset_pairs}: accepted are whole numbers of at least 1")
    if arguments.plot is not None:
        check_file("--plot", arguments.plot, (".png", ".svg", ".pdf"))
        check_page(arguments.plot, "atplotlib")  # which signs what it draws
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
    from dina_lrm.profiling.generators import generator
    from dina_lrm.profiling.jobs import dataset_cost, jobs

    multiple = 16
    wrong = [side for side in arguments.resolution if side % multiple]
    if wrong:
        raise UserError(f"--resolution {wrong[0]}: accepted are multiples of {multiple}")
    chosen, shown, rows = generator(arguments.subject), console(arguments.quiet), []
    costs: dict[int, DatasetCost] = {}
    with progress("counting", arguments.quiet) as report:
        todo = [(side, batch) for side in arguments.resolution for batch in arguments.batch_sizes]
        for done, (side, batch) in enumerate(todo):
            report(done, len(todo))
            rows += jobs(chosen, side, batch, arguments.levels, arguments.pixel_rewards)
            costs[side] = dataset_cost(chosen, side, arguments.dataset_pairs, arguments.gpu)
        report(len(todo), len(todo))
    found = [row.to_dict(arguments.gpu) for row in rows]
    for side, batch in todo:
        shown.print(_counted_table(arguments, [row for row in rows if (row.pixels, row.batch) == (side, batch)]))
    for side, cost in costs.items():
        shown.print(
            f"{cost.pairs:,} pairs at {side} pixels: {cost.storage_bytes / 1e12:.2f} TB in 16 bits, "
            f"{cost.encoding_hours:.0f} GPU hours to encode, {cost.training_hours:.0f} for an epoch",
        )
    shown.print(
        f"{chosen.about}. Counted on shapes; time is a roofline at half the peak of an {arguments.gpu.upper()}, memory "
        "is weights in 16 bits and what autograd keeps: a lower bound of the peak.",
    )
    if arguments.plot is not None:
        last = [row for row in rows if (row.pixels, row.batch) == max(todo)]
        flops = {row.job: row.cost.forward + row.cost.backward for row in last}
        _draw(arguments.plot, flops, {row.job: row.memory_bytes for row in last})
    datasets = [{"pixels": side, **asdict(cost)} for side, cost in costs.items()]
    return {"subject": arguments.subject, "gpu": arguments.gpu, "jobs": found, "datasets": datasets}


def _counted_table(arguments: Arguments, rows: list[JobCost]) -> Table:
    from dina_lrm.profiling.hardware import seconds

    heads = ("job", "params", "forward", "back", "memory", arguments.gpu.upper(), "per s")
    table = _table(f"{arguments.subject}, {rows[0].pixels} pixels, batch {rows[0].batch}", heads)
    for row in rows:
        expected = seconds(row.cost, arguments.gpu)
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


def _draw(path: Path, flops: dict[str, float], held: dict[str, float]) -> None:
    """The ReFL steps among some jobs, by their names."""
    from dina_lrm.reports.cost_plot import StepCost, refl_cost
    from dina_lrm.reports.theme import save_figure

    rewards = [job.removeprefix(_STEP) for job in flops if job.startswith(_STEP)]
    costs = [
        StepCost(name, float(flops[_REWARD + name]), float(flops[_STEP + name]), float(held[_STEP + name]))
        for name in rewards
    ]
    save_figure(refl_cost(costs), path)


def _short(value: float) -> str:
    """Three digits or so: the table is to fit a terminal of 80 columns."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(title: str, heads: tuple[str, ...]) -> Table:
    """A table of a first column of names and others of numbers, narrow enough for a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(title=text_of(title), title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(heads):
        # The name of a job breaks in a narrow terminal, a number never
        table.add_column(text_of(name), justify="right" if number else "left", no_wrap=number > 0)
    return table


def _measure(arguments: Arguments) -> dict[str, object]:
    import torch

    from dina_lrm.profiling.measuring import measure_model

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
        heads = ("job", "latency", "a second", "GFLOPs", "peak memory")
        table = _table(f"{arguments.subject} on {device}, batch {batch}", heads)
        for row in (row for row in found if row.batch == batch):
            add_row(
                table,
                row.job,
                f"{1e3 * row.seconds:.1f} ms",
                f"{row.batch / row.seconds:.3g}",
                f"{row.flops / 1e9:.2f}",
                f"{row.peak_bytes / 2**20:.0f} MiB",
            )
        shown.print(table)
    if arguments.plot is not None:
        last = [row for row in found if row.batch == max(arguments.batch_sizes)]
        _draw(arguments.plot, {row.job: row.flops for row in last}, {row.job: row.peak_bytes for row in last})
    return {"subject": arguments.subject, "device": device, "rows": [asdict(row) for row in found]}
