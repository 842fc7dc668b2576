"""`dina-lrm demo`: the whole path on the bundled world."""

from __future__ import annotations

from collections.abc import Mapping

from dina_lrm.cli.arguments.demo import Arguments
from dina_lrm.console.common import console, progress
from dina_lrm.demo.run import run_demo
from dina_lrm.demo.settings import DemoSettings
from dina_lrm.evaluation.interval import Interval
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Run the demonstration and print its table."""
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
