"""The report of an alignment run: whether the gain is real, the pictures over time, a blind vote, the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from dina_lrm.alignment.monitor.alarm import AlarmSettings, Finding, alarms
from dina_lrm.alignment.monitor.looks import SAMPLES, Look
from dina_lrm.alignment.monitor.records import Record, Summary, history_of, read_records
from dina_lrm.evaluation.bootstrap import interval_of_mean
from dina_lrm.evaluation.interval import NEEDS_PROMPTS, Interval
from dina_lrm.recipes.alignment import align_recipe
from dina_lrm.reports.alignment_plots import alignment_curves, alignment_section
from dina_lrm.reports.blind_vote import save_vote_pairs, write_blind_vote
from dina_lrm.reports.blocks import Cell, Headline, Headlines, ImageGrid, ImageRow, Picture, Section, Table, Text
from dina_lrm.reports.drawing import save_figure
from dina_lrm.reports.first.chosen import by_gain, how_chosen
from dina_lrm.reports.first.settings import settings_section
from dina_lrm.reports.first.verdicts import Verdict, Voice, Witness, change_of, change_verdict, mean_with_error
from dina_lrm.reports.gallery import gallery, save_gallery
from dina_lrm.reports.html import write_report
from dina_lrm.reports.theme import LIGHT
from dina_lrm.reports.win_rates import win_rate_section
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.screen import NO_NUMBER, number_text
from dina_lrm.synthetic.captions import true_values
from dina_lrm.typed import DinaError, from_plain

VOTE_FILE: Final = "vote.html"
_ROWS: Final = 12
_COLUMNS: Final = 5
_PAIRS: Final = 32
_SHOWN: Final = 6
"""Prompts whose pictures the page shows."""


def write_sample_sheet(folder: Path, look: Look) -> Path:
    """Write the pictures of a look as `samples/step-N.png`, one of each prompt, captions above."""
    captions = list(dict.fromkeys(look.prompts))
    first = look.images[[look.prompts.index(caption) for caption in captions]]
    sheet = gallery({f"step {look.step}": first}, captions, across=min(8, len(captions)))
    return save_gallery(sheet, folder / SAMPLES / f"step-{look.step}.png")


@dataclass(frozen=True)
class _Looks:
    window: int


@dataclass(frozen=True)
class _Run:
    """What a page says of a run; all its other settings are shown as they are."""

    algorithm: str
    name: str
    looks: _Looks


def _told_of(config: Mapping[str, Any], file: Path) -> _Run:
    """ValueError naming the file and the key that is missing or of another kind."""
    told = {name: config[name] for name in ("algorithm", "name", "looks") if name in config}
    if isinstance(told.get("looks"), Mapping):
        told["looks"] = {"window": told["looks"]["window"]} if "window" in told["looks"] else {}
    return from_plain(_Run, told, str(file))


def write_alignment_report(folder: Path, command: str = "") -> Path:
    """Write report.html, vote.html, plots/alignment.png and plots/gallery.png into the folder of an alignment run;
    `command` is what made it.

    Raises ValueError for a folder without looks.
    """
    records = read_records(folder)
    if not records:
        raise DinaError(f"{folder}: no looks to report; accepted: the folder of an alignment run")
    config = read_json_object(folder / "config.json")
    run = _told_of(config, folder / "config.json")
    settings = AlarmSettings(window=run.looks.window)
    runs = {run.name: [history_of(records)]}
    save_figure(alignment_curves(runs, settings, LIGHT), folder / "plots" / "alignment.png")
    steps = [record.step for record in records]
    images, prompts = _samples(folder, steps)
    _draw_gallery(folder, steps, images, prompts)
    write_vote(folder, images[steps[0]], images[steps[-1]], prompts)
    usual = align_recipe(run.algorithm, run.name)
    sections = [
        Section("Gain", [_heads(records)]),
        _pictures(steps, images, prompts),
        alignment_section(runs, settings),
        *_win_rates(records),
        _change(records),
        settings_section(config, None if usual is None else usual.to_dict()),
    ]
    gain = _true_gain(images[steps[0]], images[steps[-1]], prompts)
    verdict = alignment_verdict(records, prompts, alarms(runs[run.name][0], settings), gain)
    title = f"{run.algorithm} run {run.name}"
    subtitle = f"{steps[-1]:,} updates, looked at with {records[-1].prompts} prompts that were not trained on"
    return write_report(folder / "report.html", title, sections, subtitle, verdict, command)


def alignment_sections(folder: Path) -> tuple[list[Section], Verdict]:
    """The gain, the pictures, the curves and alarms of a run so far, and what can be said of it now.

    Raises ValueError for a folder without looks.
    """
    records = read_records(folder)
    if not records:
        raise DinaError(f"{folder}: no looks yet; accepted: the folder of an alignment that has looked at its samples")
    run = _told_of(read_json_object(folder / "config.json"), folder / "config.json")
    settings, runs = AlarmSettings(window=run.looks.window), {run.name: [history_of(records)]}
    steps = [record.step for record in records]
    images, prompts = _samples(folder, steps)
    sections = [
        Section("Gain", [_heads(records)]),
        alignment_section(runs, settings),
        _pictures(steps, images, prompts, vote=False),
        *_win_rates(records),
        _change(records),
    ]
    gain = _true_gain(images[steps[0]], images[steps[-1]], prompts)
    return sections, alignment_verdict(records, prompts, alarms(runs[run.name][0], settings), gain)


def alignment_verdict(
    records: Sequence[Record],
    prompts: Sequence[str],
    sounded: Sequence[Finding] = (),
    gain: Interval | None = None,
) -> Verdict:
    """Whether the gain from the first look to the last is real: the truth says so where it is known, else the golden
    judge; the reward that is optimised cannot. The first alarm that sounded is named.

    `prompts` are those of the looks, one a picture; `gain` is that of true utility.
    """
    if len(records) == 1:
        return Verdict("Not decided: the generator was looked at once.")
    last = records[-1]
    heard = [Witness("true utility", "truth", gain, over=_over(last))] if gain is not None else []
    heard += [_witness(last.golden, "held out", records, last.golden, prompts)] if last.golden else []
    heard += [_witness("the optimised reward", "optimised", records, last.proxy, prompts)]
    verdict = change_verdict(heard, last.prompts, "prompt" if last.prompts == 1 else "prompts")
    if not sounded:
        return verdict
    return replace(verdict, text=f"{verdict.text} An alarm sounded at step {sounded[0].step}: {sounded[0].kind}.")


def _witness(name: str, voice: Voice, records: Sequence[Record], judge: str, prompts: Sequence[str]) -> Witness:
    """What a judge says of the last look beside the first, picture by picture where they hold its scores."""
    first, last = records[0], records[-1]
    sides = [np.array(look.scores.get(judge, ()), dtype=float) for look in (first, last)]
    if all(len(side) == len(prompts) for side in sides):
        return Witness(name, voice, _paired(sides[1] - sides[0], prompts), over=_over(last))
    means = [_interval(look.judges.get(judge), last.prompts) for look in (first, last)]
    return Witness(name, voice, change_of(*means), over=_over(last))


def _paired(gains: Float[np.ndarray, " pictures"], prompts: Sequence[str]) -> Interval:
    if np.isnan(gains).all():
        return Interval(None, None, None)
    _, numbers = np.unique(list(prompts), return_inverse=True)
    return interval_of_mean(gains, numbers)


def _interval(summary: Summary | None, prompts: int) -> Interval:
    found = summary or Summary(None, None, None, 0)
    return mean_with_error(found.mean, found.standard_error, min(found.counted, prompts))


def _over(last: Record) -> str:
    return f"{last.prompts} prompt{'s' * (last.prompts != 1)}"


def _true_gain(before: NDArray[np.uint8], after: NDArray[np.uint8], prompts: Sequence[str]) -> Interval | None:
    """The gain of true utility over the prompts of the synthetic world; None where there are none."""
    gains = _utility(after, prompts) - _utility(before, prompts)
    return None if np.isnan(gains).all() else _paired(gains, prompts)


def _utility(images: NDArray[np.uint8], prompts: Sequence[str]) -> Float[np.ndarray, " prompts"]:
    return true_values(images, list(prompts))["utility"]


def _heads(records: Sequence[Record]) -> Headlines:
    first, last = records[0], records[-1]
    return Headlines(
        [
            _headline(_name(kind, name, last), getattr(first, kind)[name], getattr(last, kind)[name])
            for kind, name in (("truth", "utility"), ("judges", last.golden or ""), ("judges", last.proxy))
            if name in getattr(last, kind) and name in getattr(first, kind)
        ]
    )


def _win_rates(records: Sequence[Record]) -> list[Section]:
    found = win_rate_section(records)
    return [] if found is None else [found]


def _change(records: Sequence[Record]) -> Section:
    first, last = records[0], records[-1]
    rows: list[list[Cell]] = []
    for kind in ("truth", "judges", "measures"):
        before, after = getattr(first, kind), getattr(last, kind)
        rows += [[_name(kind, name, last), *_row(before[name], after.get(name))] for name in before]
    note = (
        f"{last.pictures} pictures of {last.prompts} prompts that were not trained on, the same prompts and seeds. ± "
        "is the standard error of a mean over prompts."
    )
    table = Table(["Measure", f"Step {first.step}", "±", f"Step {last.step}", "±", "Missing"], rows, note=note)
    return Section("Before and after", [table], folded=True)


def _headline(name: str, before: Summary, after: Summary) -> Headline:
    if before.mean is None or after.mean is None:
        return Headline(name, NO_NUMBER, f"from {_mean(before)} to {_mean(after)}")
    return Headline(name, number_text(after.mean - before.mean, "+.2f"), f"from {_mean(before)} to {_mean(after)}")


def _name(kind: str, name: str, record: Record) -> str:
    if kind == "truth":
        return f"true {name}"
    if kind == "judges" and name == record.proxy:
        return "objective (optimised)"
    return f"{name} (golden)" if kind == "judges" and name == record.golden else name.replace("_", " ")


def _row(before: Summary, after: Summary | None) -> list[Cell]:
    late = after or Summary(None, None, None, 0)
    return [before.mean, _error(before), late.mean, _error(late), late.missing]


def _error(summary: Summary) -> Cell:
    """The standard error, or that it needs more prompts."""
    return summary.standard_error if summary.standard_error is not None or summary.mean is None else NEEDS_PROMPTS


def _mean(summary: Summary) -> str:
    large = summary.mean is not None and abs(summary.mean) >= 100
    return number_text(summary.mean, ".0f" if large else ".3g")


def _samples(folder: Path, steps: Sequence[int]) -> tuple[dict[int, NDArray[np.uint8]], list[str]]:
    images: dict[int, NDArray[np.uint8]] = {}
    prompts: list[str] = []
    for step in steps:
        with np.load(folder / SAMPLES / f"step-{step}.npz") as found:
            images[step], prompts = found["images"], [str(prompt) for prompt in found["prompts"]]
    return images, prompts


def _chosen(steps: Sequence[int]) -> list[int]:
    """At most `_COLUMNS` looks, evenly spread, with the first and the last."""
    places = np.unique(np.linspace(0, len(steps) - 1, min(_COLUMNS, len(steps))).round().astype(int))
    return [steps[place] for place in places]


def _draw_gallery(
    folder: Path, steps: Sequence[int], images: dict[int, NDArray[np.uint8]], prompts: Sequence[str]
) -> None:
    firsts = [prompts.index(prompt) for prompt in dict.fromkeys(prompts)][:_ROWS]
    columns = {f"step {step}": images[step][firsts] for step in _chosen(steps)}
    sheet = gallery(columns, [prompts[row] for row in firsts], across=2)
    save_gallery(sheet, folder / "plots" / "gallery.png")


def _pictures(
    steps: Sequence[int], images: dict[int, NDArray[np.uint8]], prompts: Sequence[str], vote: bool = True
) -> Section:
    before, after = images[steps[0]], images[steps[-1]]
    chosen = by_gain(_utility(after, prompts) - _utility(before, prompts), _SHOWN)
    rows = [
        ImageRow(prompts[row], [Picture(images[step][row], f"step {step}") for step in _chosen(steps)], place)
        for row, place in chosen
    ]
    told = f"{how_chosen(chosen, len(prompts), 'true utility')} The same prompt and seed along each row."
    if vote:
        told += f" [Judge for yourself]({VOTE_FILE}), without knowing which is which."
    return Section("Pictures", [Text(told), ImageGrid(rows, columns=2 if len(rows[0].pictures) < 4 else 1)])


def write_vote(folder: Path, before: NDArray[np.uint8], after: NDArray[np.uint8], prompts: Sequence[str]) -> Path:
    """Write vote.html, a blind choice between before and after, with its pictures in vote/; returns the page."""
    few = slice(0, _PAIRS)
    pairs = save_vote_pairs(folder / "vote", list(prompts[few]), before[few], after[few])
    return write_blind_vote(folder / VOTE_FILE, pairs, ("before", "after"))
