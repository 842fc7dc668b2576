"""`dina-lrm demo`: the whole path on the bundled world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.cli.common import CommonArguments, UserError, console, progress
from dina_lrm.demo.settings import DemoSettings


@dataclass
class Arguments(CommonArguments):
    """Make comparisons, train a latent reward model and two baselines, measure them, align a generator, write a report.

    Three to seven minutes on two cores; nothing is downloaded.

    Example:
        dina-lrm demo --out demo
    """

    out: Path = Path("demo")
    """Folder for report.html, results.json, the images and the runs; what an earlier demo left there is replaced."""
    seed: int = DemoSettings.seed
    """Of the data, the models and the scores."""
    prompts: int = DemoSettings.prompts
    """Training prompts, eight pictures each."""
    pairs: int = DemoSettings.pairs
    """Pairs of each test set."""
    steps: int = DemoSettings.steps
    """Training steps of each model."""
    updates: int = DemoSettings.updates
    """Of the alignment."""
    looked_at: int = DemoSettings.looked_at
    """Prompts that the generator is looked at with, before and after the alignment."""


def run(arguments: Arguments) -> dict[str, object]:
    """Run the demonstration and print its table."""
    for name, least in (("prompts", 100), ("pairs", 50), ("steps", 1), ("updates", 1), ("looked_at", 2)):
        if getattr(arguments, name) < least:
            raise UserError(f"--{name.replace('_', '-')}: got {getattr(arguments, name)}; accepted: at least {least}")
    _make_room(arguments.out)
    from rich.table import Table

    from dina_lrm.demo.run import run_demo
    from dina_lrm.demo.settings import DemoSettings

    shown = console(arguments.quiet)
    sizes = (arguments.prompts, arguments.pairs, arguments.steps, arguments.updates, arguments.looked_at)
    settings = DemoSettings(arguments.seed, *sizes)
    with progress("Training steps", arguments.quiet) as report:
        found = run_demo(
            arguments.out,
            settings,
            lambda line: shown.print(line, markup=False),
            report,
            f"dina-lrm demo --seed {arguments.seed}",
        )
    rows = {"ours": found["sets"], "ours, ensemble": found["ensemble"], **found["baselines"]}
    table = Table("Accuracy in %", *(name.replace("_", " ") for name in found["sets"]))
    for name, measured in rows.items():
        cells = [f"{100 * m['accuracy']:.1f} ({100 * m['low']:.1f}-{100 * m['high']:.1f})" for m in measured.values()]
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("Bayes ceiling", *(f"{100 * m['ceiling']:.1f}" for m in found["sets"].values()))
    shown.print(table)
    gain = found["alignment"]
    shown.print(
        f"aligned by ReFL, {gain['updates']} updates: true utility {gain['gain']:+.2f} "
        f"({gain['gain_low']:+.2f} to {gain['gain_high']:+.2f}) on {gain['pictures']} prompts",
        markup=False,
    )
    shown.print(
        f"{found['seconds']:.0f} s, seed {found['seed']}; look at {arguments.out / 'report.html'}", markup=False
    )
    return found


def _make_room(out: Path) -> None:
    """Remove what an earlier demonstration left; refuse a folder that holds anything else."""
    import shutil

    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder")
    ours = {"report.html", "results.json", "images", "runs", "work"}
    foreign = sorted(path.name for path in out.iterdir() if path.name not in ours)
    if foreign:
        raise UserError(f"{out}: holds {foreign[0]!r}, which no demonstration wrote; give another folder")
    shutil.rmtree(out)
