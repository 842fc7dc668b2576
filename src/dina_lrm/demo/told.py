"""What a demonstration found, as a table and sentences for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dina_lrm.evaluation.interval import Interval
from dina_lrm.screen import table_of

if TYPE_CHECKING:
    from rich.table import Table


def accuracy_table(found: Mapping[str, Any]) -> Table:
    """The accuracies of the models on the test sets, below them what the best judge could reach."""
    rows = {"ours": found["sets"], "ours, ensemble": found["ensemble"], **found["baselines"]}
    lines = [
        [name.replace("_", " "), *(_accuracy(one) for one in measured.values())] for name, measured in rows.items()
    ]
    lines.append(["Bayes ceiling", *(f"{100 * m['ceiling']:.1f}" for m in found["sets"].values())])
    return table_of(("Accuracy in %", *(name.replace("_", " ") for name in found["sets"])), lines)


def closing_lines(found: Mapping[str, Any], out: Path) -> list[str]:
    """What the alignment was worth, how long it all took, and where to look."""
    gain = found["alignment"]
    rise = Interval(gain["gain"], gain["gain_low"], gain["gain_high"], gain["pictures"])
    return [
        f"aligned by ReFL, {gain['updates']} updates: true utility {rise.text('+.2f')} on {rise.n} prompts",
        f"{found['seconds']:.0f} s, seed {found['seed']}; look at {out / 'report.html'}",
    ]


def _accuracy(measured: Mapping[str, float]) -> str:
    return Interval(measured["accuracy"], measured["low"], measured["high"]).text(".1f", percent=True)
