"""What was seen of the generator at a step, as lines of `monitor.jsonl`, and as the history that the alarm reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from dina_lrm.alignment.monitor.alarm import History, Series
from dina_lrm.runs.files import append_line, write_text
from dina_lrm.runs.json_files import parse_json, whole_lines
from dina_lrm.typed import DinaError, from_plain, to_plain

MONITOR_FILE: Final = "monitor.jsonl"
_ONCE: Final = {"sharpness": "edge_strength"}
_FEW_PROMPTS: Final = 6
ERRORS_95: Final = 1.96
"""How many standard errors half of a 95 % interval is."""


@dataclass(frozen=True)
class Summary:
    """A mean over `counted` pictures (prompts, for diversity); `missing` ones had no value and are not in it.

    `deviation` is the standard deviation between them; `standard_error` that of the mean, with prompts as the unit
    that is drawn. None where there are too few.
    """

    mean: float | None
    deviation: float | None
    standard_error: float | None
    counted: int
    missing: int = 0


@dataclass(frozen=True)
class PairCalibration:
    """How sure a reward was of `pairs` pairs of a look, in the mean, and how often it was `right` by a judge; a tie is
    half right. `left_out` pairs had no winner.

    `error` is the standard error of right - confidence, with prompts as the unit that is drawn. `ece_floor` is the ECE
    that winners drawn from the reward's own probabilities would have, 0 where true probabilities are compared with.
    None where there are no pairs; the error also where there are too few prompts.
    """

    pairs: int
    left_out: int
    confidence: float | None
    right: float | None
    error: float | None
    ece: float | None
    ece_floor: float | None


@dataclass(frozen=True)
class Record:
    """One look at the generator. `proxy` and `golden` name a member of `judges`.

    `truth` holds utility, alignment and quality by the analytic oracle, where prompts are of the synthetic world;
    `extra` what the trainer added, such as the KL to the base.
    """

    step: int
    pictures: int
    prompts: int
    proxy: str
    golden: str | None
    judges: dict[str, Summary]
    measures: dict[str, Summary]
    truth: dict[str, Summary] = field(default_factory=dict)
    extra: dict[str, float | None] = field(default_factory=dict)
    scores: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    """Of proxy and golden, one a picture and None where there was none: looks are compared picture by picture."""
    win_rates: dict[str, dict[str, PairCalibration]] = field(default_factory=dict)
    """By reward and then by judge, in runs that learn from win rates; the last reward is what is learned from."""


def summarise(values: Float[np.ndarray, " pictures"], prompts: Sequence[str]) -> Summary:
    """The summary of one value a picture; what is not finite is missing.

    The standard error is that of a ratio: squares of the sums of residuals of each prompt.
    """
    known = np.isfinite(values)
    counted, missing = int(known.sum()), int((~known).sum())
    if counted == 0:
        return Summary(None, None, None, 0, missing)
    rest = values[known] - values[known].mean()
    _, group = np.unique(np.array(prompts)[known], return_inverse=True)
    sums = np.bincount(group, weights=rest)
    groups = len(sums)
    error = float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / counted) if groups > 1 else None
    if error == 0 and groups < _FEW_PROMPTS:
        error = None  # few that are all alike do not say how far others would lie
    deviation = float(rest.std() * np.sqrt(counted / (counted - 1))) if counted > 1 else None
    return Summary(float(values[known].mean()), deviation, error, counted, missing)


def read_records(folder: Path) -> list[Record]:
    """The records of a run's folder in their order, an empty list where there are none.

    A last line without its end was cut off by a kill and is left out; any other that cannot be read is a ValueError
    naming file and line.
    """
    lines = whole_lines(folder / MONITOR_FILE)
    return [from_plain(Record, _renamed(parse_json(line, where)), where) for where, line in lines]


def _renamed(record: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The record with the measure that was once called as a reward is, which is another one, under its own name."""
    measures = record.get("measures") if isinstance(record, dict) else None
    if not isinstance(measures, dict) or "sharpness" not in measures:
        return record
    return {**record, "measures": {_ONCE.get(name, name): value for name, value in measures.items()}}


def write_records(folder: Path, records: Sequence[Record]) -> None:
    """Put `records` in the place of all that the folder holds; no file is made for none."""
    text = "".join(_line(record) for record in records)
    file = folder / MONITOR_FILE
    if not records and not file.exists():
        return
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)


def append_record(folder: Path, record: Record) -> None:
    """Add a line; it is on the disk when this returns."""
    append_line(folder / MONITOR_FILE, to_plain(record))


def history(folder: Path) -> History:
    """What a run's folder holds, as the alarm reads it; raises ValueError as `read_records` does."""
    return history_of(read_records(folder))


def history_of(records: Sequence[Record]) -> History:
    """The means over the steps, with the spread between pictures at the first record that has one."""
    names = dict.fromkeys(name for record in records for name in record.measures)
    measures = {name: _series([record.measures.get(name) for record in records]) for name in names}
    return History(
        steps=np.array([record.step for record in records], dtype=float),
        proxy=_series([record.judges.get(record.proxy) for record in records]) or Series(np.full(len(records), np.nan)),
        golden=_series([record.judges.get(record.golden or "") for record in records]),
        utility=_series([record.truth.get("utility") for record in records]),
        measures={name: found for name, found in measures.items() if found is not None},
        winners=_extra_series(records, "winner_change"),
    )


def best_record(records: Sequence[Record], until: int | None = None) -> Record:
    """The record with the highest golden mean, the earliest of equals, of those up to a step (`Finding.since`, say).

    Raises ValueError where none has one.
    """
    meant = [record for record in records if until is None or record.step <= until]
    scored = [(mean, record) for record in meant if (mean := _golden_mean(record)) is not None]
    if not scored:
        raise DinaError(f"best_record: none of {len(meant)} records has a golden mean")
    return max(scored, key=lambda pair: (pair[0], -pair[1].step))[1]


def _series(found: Sequence[Summary | None]) -> Series | None:
    """The means, or None where there is none at all."""
    values = [np.nan if each is None or each.mean is None else each.mean for each in found]
    spread = next((each.deviation for each in found if each is not None and each.deviation is not None), None)
    return None if np.isnan(values).all() else Series(np.array(values, dtype=float), spread)


def _extra_series(records: Sequence[Record], name: str) -> Series | None:
    """What trainers added under a name; None where there is nothing of it."""
    values = np.array([record.extra.get(name) for record in records], dtype=float)
    return None if np.isnan(values).all() else Series(values)


def _golden_mean(record: Record) -> float | None:
    golden = record.judges.get(record.golden or "")
    return None if golden is None else golden.mean


def _line(record: Record) -> str:
    return json.dumps(to_plain(record), allow_nan=False, ensure_ascii=False) + "\n"
