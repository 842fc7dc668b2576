"""Accuracies of a reward model on sets, as they are kept with it: for people a table, for programs the hub's block.

A measurement is a mapping of plain values: `set`, `read at`, `accuracy`, `low`, `high`, `ceiling`, `pairs`, and what
else whoever measured has to say. Those of a model lie in `notes["results"]` of its configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from huggingface_hub import EvalResult

from dina_lrm.cards.text import table
from dina_lrm.screen import interval_text, number_text

Measurement = Mapping[str, Any]
_WRITTEN: Final = ("accuracy", "low", "high", "ceiling", "pairs")
_QUIET: Final = ("data", "convention", "seed", "library version")
"""Kept with a measurement, and of no interest to who reads the table."""


def measurements(notes: Mapping[str, Any]) -> list[Measurement]:
    """The measurements among the notes of a model; what is none is left out."""
    rows = notes.get("results")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, Sequence) else []


def merged(before: Sequence[Measurement], new: Sequence[Measurement]) -> list[Measurement]:
    """Both; new ones in the place of those of the same set, read and counted alike (or one does not say how)."""
    kept = [(each, next((row for row in new if _same(row, each)), None)) for each in before]
    found = [each if other is None else other for each, other in kept]
    return [*found, *(row for row in new if not any(row is other for _, other in kept))]


def measured_table(rows: Sequence[Measurement]) -> str:
    """The table of a card; says so where nothing was recorded."""
    if not rows:
        return "Nothing was recorded with this model; `dina-lrm evaluate --record FOLDER` does."
    named = [name for row in rows for name in row if name not in (*_WRITTEN, *_QUIET)]
    shown = [{name: row[name] for name in named if name in row} | _numbers(row) for row in rows]
    columns = dict.fromkeys([*named, *(name for row in shown for name in row)])
    order = [name for name in columns if any(str(row.get(name, "")) for row in shown)]
    return f"{table(order, shown)}\n\n{_how_counted(rows)}".rstrip()


def eval_results(rows: Sequence[Measurement], task: str) -> list[EvalResult]:
    """The measurements as the block `model-index` of the hub: shares in [0, 1], with the interval among the details."""
    details = ("low", "high", "pairs", "ceiling", *_QUIET)
    return [
        EvalResult(
            task_type=task,
            dataset_type=str(row.get("set", "comparisons")),
            dataset_name=str(row.get("set", "comparisons")),
            metric_type="accuracy",
            metric_value=row["accuracy"],
            metric_name=f"Pairwise accuracy, {row['read at']}" if "read at" in row else "Pairwise accuracy",
            metric_args={name: row[name] for name in details if row.get(name) is not None},
        )
        for row in rows
        if isinstance(row.get("accuracy"), int | float)
    ]


def accuracy_text(row: Measurement) -> str:
    """The accuracy in percent with its interval, such as "81.2 (79.5 to 82.9)"."""
    known = _known(row)
    return interval_text(known["accuracy"], known["low"], known["high"], ".1f", percent=True)


def _known(row: Measurement) -> dict[str, int | float | None]:
    """The numbers of a measurement; None for what is none."""
    return {name: row.get(name) if isinstance(row.get(name), int | float) else None for name in _WRITTEN}


def _numbers(row: Measurement) -> dict[str, str]:
    known = _known(row)
    pairs = known["pairs"]
    return {
        "accuracy, % (95 % interval)": accuracy_text(row),
        "ceiling, %": "" if known["ceiling"] is None else number_text(known["ceiling"], ".1f", percent=True),
        "pairs": "" if pairs is None else f"{pairs:,}",
    }


def _how_counted(rows: Sequence[Measurement]) -> str:
    named = sorted({str(row["convention"]) for row in rows if "convention" in row})
    ceiling = "A ceiling is what a judge reaches who knows the truth. " if any("ceiling" in row for row in rows) else ""
    return f"{ceiling}{'Counted by ' + ', '.join(f'`{name}`' for name in named) + '.' if named else ''}"


def _same(one: Measurement, other: Measurement) -> bool:
    ways = {row["convention"] for row in (one, other) if "convention" in row}
    return len(ways) < 2 and all(one.get(name) == other.get(name) for name in ("set", "read at"))
