"""A NaN or an infinity stops the run, and says where it was seen first and in which pairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from dina_lrm.runs.files import write_json


class NonFiniteError(RuntimeError):
    """A loss, score or gradient was NaN or infinite; the message names the tensor and the pairs."""


def non_finite_names(tensors: Iterable[tuple[str, Tensor | None]]) -> list[str]:
    """The names of the tensors that hold a NaN or an infinity, in the order given."""
    return [name for name, tensor in tensors if tensor is not None and not bool(torch.isfinite(tensor).all())]


def stop_for_non_finite(
    folder: Path, step: int, process: int, tensors: Sequence[str], batch: Mapping[str, Sequence[object]]
) -> NonFiniteError:
    """Write `folder/non_finite-<process>.json` and return the error to raise.

    `tensors` are the names found; `batch` holds equally long columns: `pair` (names), and floats such as `loss`. Where
    some pairs hold a non-finite number themselves, the message names these, else all of the batch.
    """
    report = folder / f"non_finite-{process}.json"
    write_json(report, {"step": step, "tensors": list(tensors), "batch": _printable(batch)})
    rows = range(len(batch["pair"]))
    floats = [column for name, column in batch.items() if name != "pair"]
    faulty = [row for row in rows if any(_is_non_finite(column[row]) for column in floats)]
    pairs = [str(batch["pair"][row]) for row in faulty or rows]
    return NonFiniteError(
        f"step {step}: {tensors[0]} is not finite ({len(tensors)} such tensors), in the pairs {named(pairs)}; "
        f"everything is in {report}. The step was not applied. Look at these pairs first, then at the learning rate."
    )


def named(pairs: Sequence[str]) -> str:
    """The first few of the names, and how many there are."""
    return ", ".join(pairs[:8]) + (f", ... ({len(pairs)} in all)" if len(pairs) > 8 else "")


def _printable(batch: Mapping[str, Sequence[object]]) -> dict[str, list[object]]:
    # JSON has no NaN: written as text, so that any reader can open the report
    return {name: [str(v) if _is_non_finite(v) else v for v in column] for name, column in batch.items()}


def _is_non_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
