"""Looks at the generator while it is aligned: a judge that nothing is optimised for, the truth where it is known, and
measures of the pictures.

judges = {"proxy": image_reward, "gold": clip}
monitor = Monitor(run, judges, proxy="proxy", golden="gold", objective=[latent_reward])
for step in range(...):
    ...
    monitor.observe(step, images, prompts)          # the same prompts and seeds every time
    for finding in findings(monitor.history()):
        print(finding.sentence)
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from dina_lrm.alignment.monitor.alarm import History
from dina_lrm.alignment.monitor.pair_calibration import PairJudge
from dina_lrm.alignment.monitor.records import (
    MONITOR_FILE,
    Record,
    Summary,
    append_record,
    history_of,
    read_records,
    summarise,
    write_records,
)
from dina_lrm.pictures.measures import MEASURES, Images, diversity
from dina_lrm.rewards.base import Reward
from dina_lrm.rewards.disjoint import check_disjoint
from dina_lrm.rewards.judged import as_scores, judged
from dina_lrm.synthetic.captions import true_values
from dina_lrm.typed import DinaError

Scores = Float[np.ndarray, " pictures"]


class MissingScoresWarning(UserWarning):
    """A judge gave no score for some pictures."""


@final
class Monitor:
    """Records what judges, oracle and measures say of the pictures of a step, one line a look in `monitor.jsonl`.

    `judges` read pixels. `proxy` names the one that stands for the objective (or scores that the trainer hands over),
    `golden` one that shares nothing with any reward of `objective`: all that takes part in the loss or the advantage.
    A run that goes on gives the step it was resumed from; records beyond it are dropped. `pairs` compares win rates of
    scores that the trainer hands over with golden reward and truth.

    Raises:
        ValueError: a golden reward that takes part in the objective or is not among the judges, a judge that reads
            latents, an empty objective, or a folder with records when no `resumed_step` is given.
    """

    def __init__(
        self,
        folder: Path,
        judges: Mapping[str, Reward],
        proxy: str,
        golden: str | None,
        objective: Sequence[Reward],
        resumed_step: int | None = None,
        batch_size: int = 32,
        pairs: PairJudge | None = None,
    ) -> None:
        _check_judges(judges, proxy, golden, objective)
        self._folder, self._judges = folder, dict(judges)
        self._proxy, self._golden = proxy, golden
        self._batch_size, self._pairs = batch_size, pairs
        folder.mkdir(parents=True, exist_ok=True)
        before = read_records(folder)
        if before and resumed_step is None:
            raise DinaError(
                f"{folder / MONITOR_FILE}: holds {len(before)} records; accepted: a new folder, or the step that the "
                "run is resumed from"
            )
        self._records = [record for record in before if record.step <= (resumed_step or 0)]
        write_records(folder, self._records)

    def observe(
        self,
        step: int,
        images: Images,
        prompts: Sequence[str],
        scores: Mapping[str, Sequence[float] | Tensor] | None = None,
        extra: Mapping[str, float] | None = None,
    ) -> Record:
        """Judge pictures, uint8 (n, height, width, 3), made for their prompts at a step, and record what was found.

        `scores` are those that the trainer has already, one a picture (the proxy on latents, say); `extra` are numbers
        of its own. A record of the same or of a later step gives way to this one. Raises ValueError for prompts or
        scores of another number than the pictures, and for a judge that is missing or answers with another number.
        """
        if len(prompts) != len(images):
            raise DinaError(f"monitor: {len(images)} images and {len(prompts)} prompts; accepted: one prompt an image")
        given = {name: as_scores(f"monitor: {name}", values, len(images)) for name, values in (scores or {}).items()}
        record = self._record(step, images, prompts, given, dict(extra or {}))
        kept = [old for old in self._records if old.step < step]
        if len(kept) < len(self._records):
            write_records(self._folder, kept)
        append_record(self._folder, record)
        self._records = [*kept, record]
        return record

    @property
    def records(self) -> tuple[Record, ...]:
        """All records, the latest last."""
        return tuple(self._records)

    def history(self) -> History:
        """The records as the alarm reads them."""
        return history_of(self._records)

    def _record(
        self,
        step: int,
        images: Images,
        prompts: Sequence[str],
        given: Mapping[str, Scores],
        extra: Mapping[str, float],
    ) -> Record:
        twice = sorted(given.keys() & self._judges.keys())
        if twice:
            raise DinaError(f"monitor: scores of {', '.join(twice)} are given, and there is a judge of that name")
        if self._proxy not in {*given, *self._judges}:
            raise DinaError(f"monitor: no scores of the proxy {self._proxy!r}; given: {', '.join(given) or 'none'}")
        # Measured first: they refuse what are no pictures before any judge sees it
        measures = {name: summarise(measure(images), prompts) for name, measure in MEASURES.items()}
        spread = diversity(images, prompts)
        if spread:
            measures["diversity"] = summarise(np.array(list(spread.values())), list(spread))
        asked = {name: judged(judge, images, prompts, self._batch_size) for name, judge in self._judges.items()}
        found = {**given, **asked}
        judges = {name: _said_of_missing(name, summarise(row, prompts)) for name, row in found.items()}
        truth = true_values(images, prompts)
        golden = None if self._golden is None else (self._golden, found[self._golden])
        return Record(
            step=step,
            pictures=len(images),
            prompts=len(set(prompts)),
            proxy=self._proxy,
            golden=self._golden,
            judges=judges,
            measures=measures,
            truth=_summarised(truth, prompts),
            extra={name: _finite(value) for name, value in extra.items()},
            scores={
                name: tuple(map(_finite, row)) for name, row in found.items() if name in (self._proxy, self._golden)
            },
            win_rates={} if self._pairs is None else self._pairs(given, prompts, golden, truth["utility"]),
        )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _check_judges(judges: Mapping[str, Reward], proxy: str, golden: str | None, objective: Sequence[Reward]) -> None:
    blind = [name for name, judge in judges.items() if judge.kind != "pixel"]
    if blind:
        raise DinaError(f"monitor: {', '.join(blind)} read latents; accepted: judges of pictures, such as image:MODEL")
    if not objective:
        raise DinaError("monitor: no rewards in the objective; accepted: all that take part in loss or advantage")
    if golden is None:
        return
    if golden not in judges:
        raise DinaError(f"monitor: no judge {golden!r} to be golden; accepted: {', '.join(judges) or 'none'}")
    if golden == proxy or golden in {reward.name for reward in objective}:
        raise DinaError(
            f"golden reward {golden!r}: is what is optimised; accepted: a reward that nothing is optimised for"
        )
    check_disjoint(judges[golden], objective)


def _said_of_missing(name: str, summary: Summary) -> Summary:
    if summary.missing:
        total = summary.counted + summary.missing
        warnings.warn(
            f"{name} gave no score for {summary.missing} of {total} images", MissingScoresWarning, stacklevel=4
        )
    return summary


def _summarised(found: Mapping[str, Scores], prompts: Sequence[str]) -> dict[str, Summary]:
    """Utility, alignment and quality by the oracle; nothing where no prompt is of the synthetic world."""
    if np.isnan(found["utility"]).all():
        return {}
    return {name: summarise(values, prompts) for name, values in found.items()}
