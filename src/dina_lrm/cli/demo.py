"""`dina-lrm demo`: the whole path on the bundled world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dina_lrm.cli.common import CommonArguments, UserError, console, progress
from dina_lrm.demo.settings import KIND, DemoSettings
from dina_lrm.evaluation.interval import Interval
from dina_lrm.runs.ownership import check_replaceable
from dina_lrm.runs.places import check_folder
from dina_lrm.screen import table_of


@dataclass
class Arguments(CommonArguments):
    """Make comparisons, train a latent reward model and two baselines, measure them, align a generator, write a report.

    Three to seven minutes on two cores; nothing is downloaded.

    Example:
        dina-lrm demo --out demo
    """

    out: Path = Path("demo")
    """Folder for report.html, results.json, images and runs; an earlier demo that nobody changed is replaced."""
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

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Run the demonstration and print its table."""
    for name, least in (("prompts", 100), ("pairs", 50), ("steps", 1), ("updates", 1), ("looked_at", 2)):
        if getattr(arguments, name) < least:
            raise UserError(f"--{name.replace('_', '-')}: got {getattr(arguments, name)}; accepted: at least {least}")
    check_folder("--out", arguments.out)
    check_replaceable(arguments.out, KIND)
    from dina_lrm.demo.run import run_demo

    shown = console(arguments.quiet, live=True)
    sizes = (arguments.prompts, arguments.pairs, arguments.steps, arguments.updates, arguments.looked_at)
    settings = DemoSettings(arguments.seed, *sizes)
    with progress("Training steps", arguments.quiet) as report:
        found = run_demo(
            arguments.out,
            settings,
            lambda line: shown.print(line),
            report,
            f"dina-lrm demo --seed {arguments.seed}",
        )
    rows = {"ours": found["sets"], "ours, ensemble": found["ensemble"], **found["baselines"]}
    lines = [
        [name.replace("_", " "), *(_accuracy(one) for one in measured.values())] for name, measured in rows.items()
    ]
    lines.append(["Bayes ceiling", *(f"{100 * m['ceiling']:.1f}" for m in found["sets"].values())])
    shown.print(table_of(("Accuracy in %", *(name.replace("_", " ") for name in found["sets"])), lines))
    gain = found["alignment"]
    rise = Interval(gain["gain"], gain["gain_low"], gain["gain_high"], gain["pictures"])
    shown.print(
        f"aligned by ReFL, {gain['updates']} updates: true utility {rise.text('+.2f')} on {rise.n} prompts",
    )
    shown.print(f"{found['seconds']:.0f} s, seed {found['seed']}; look at {arguments.out / 'report.html'}")
    return found


def _accuracy(measured: Mapping[str, float]) -> str:
    return Interval(measured["accuracy"], measured["low"], measured["high"]).text(".1f", percent=True)
